"""``flowers beam``: the batch as an Apache Beam pipeline, for what one machine can't do in time.

``options`` checks the command line, ``pipeline`` joins listing, classification and ``outputs``,
``command`` runs it. Listing, reading and rows are those of ``flowers_onnx.batch``, so that the
rows are the same as those of ``flowers batch``. Only ``options`` may be imported without the
extra ``[beam]``.
"""
