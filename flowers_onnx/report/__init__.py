"""``flowers report``: one HTML page for people from the results of a run.

``reading`` checks the rows, ``summary`` counts them all and keeps what fits, ``thumbnails``
shrinks the photos, ``page`` writes them into ``report.html``, ``report.css`` and ``report.js``.
"""
