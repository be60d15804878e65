"""``flowers batch``: a bucket or a folder of images in, structured results out.

``storage`` lists items and fetches them; ``run`` classifies what isn't done yet and keeps each
row in a ``journal``; when all is done, one of ``sinks`` publishes the rows in one step.
"""
