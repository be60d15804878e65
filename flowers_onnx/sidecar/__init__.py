"""Answers beside the photos: ``photo.jpg.xmp``, which photo managers read.

``xmp`` finds what is where in the bytes of such a file, ``edits`` changes them, ``merge`` puts
keywords in and takes them out, ``files`` does so for the rows of a result.
"""
