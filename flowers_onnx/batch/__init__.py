"""``flowers batch``: a bucket or a folder of images in, structured results out.

``sources`` lists items and ``storage`` fetches them; ``run`` classifies what isn't done yet and keeps
each row in a ``journal``; when all is done, a ``sink`` publishes the rows in one step.
"""
