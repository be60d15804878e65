"""``flowers beam``: the batch as an Apache Beam pipeline, for what one machine can't do in time.

``options`` says what is asked for, ``pipeline`` joins listing, classification and ``outputs``,
``run`` runs it. Listing, reading and rows are those of ``flowers_onnx.batch``, so that the
rows are the same as those of ``flowers batch``. Only ``options`` may be imported without the
extra ``[beam]``.
"""
