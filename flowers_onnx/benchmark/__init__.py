"""``flowers benchmark``: how long the program takes here, and where the time goes.

``options`` checks the flags, ``command`` runs the whole, ``scenarios`` hold what one run is,
``processes`` and ``probe`` time new processes, ``rounds`` decides how often, ``samples`` and
``compare`` draw conclusions, ``environment`` says where it was measured, ``document`` and
``output`` give it form, ``plot`` draws it.
"""
