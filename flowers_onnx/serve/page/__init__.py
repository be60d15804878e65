"""The page at ``/``: photos in, names out, for people with a browser.

``page`` fills ``page.html``, ``page.css`` and ``page.js`` with the words of ``texts``. The script
sends each photo to ``/v1/classify`` as any other client would, and to ``/v1/explain`` where
somebody wants to know why; ``heat.js`` draws the map.
"""
