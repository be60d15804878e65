"""``flowers beam``: the batch as an Apache Beam pipeline, for what one machine can't do in time.

``options`` says what is asked for, ``pipeline`` joins listing, classification and ``outputs``,
``run`` runs it. Listing and reading are those of ``flowers_onnx.storage``, the rows those of
``flowers_onnx.tables``, so that they are the same as those of ``flowers batch``. Only ``options``
may be imported without the extra ``[beam]``.
"""
