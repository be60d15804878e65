"""What the HTML pages share: the report's, which is a file, and the server's.

``words`` are texts in two languages, escaped; ``assets`` reads the files beside a page's module
and makes the policy that lets a browser run these and nothing else. ``base.css`` has the colours,
``heat`` those of a heat map, ``images`` puts photos into a page.
"""
