"""``flowers report``: one HTML page for people from the results of a run.

``run`` takes results from ``flowers_onnx.tables.reading``, ``summary`` counts them all and keeps
what fits, ``thumbnails`` shrinks the photos, ``page`` writes them into ``report.html``,
``report.css`` and ``report.js``, in the words of ``texts``.
"""
