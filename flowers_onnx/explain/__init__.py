"""``flowers explain``: which parts of a photo speak for its name, as a picture or a page.

``run`` takes photos to explanations and these to what ``--out`` asks for; ``picture`` draws one,
``page`` writes a page of many.
"""
