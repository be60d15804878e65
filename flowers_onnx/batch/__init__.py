"""``flowers batch``: a bucket or a folder of images in, structured results out.

``manifest`` or ``flowers_onnx.storage`` lists the images; ``pipeline`` reads and classifies those
that the ``ledger`` doesn't know as done; ``output`` keeps each row in a journal of
``flowers_onnx.tables``, and publishes all in one step when nothing is left to do; ``run`` is the
whole. ``shard`` cuts the work for many machines; ``log``, ``tally`` and ``provenance`` tell what
was done.
"""
