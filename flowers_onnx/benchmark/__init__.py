"""``flowers benchmark``: how long the program takes here, and where the time goes.

``options`` says what is asked for and ``run`` runs the whole. ``measurement`` loads what is needed
and measures: ``scenarios`` hold what one run is, ``processes`` and ``probe`` time new processes,
``rounds`` decides how often. ``samples`` and ``compare`` draw conclusions, ``environment`` says
where it was measured, ``document``, ``output`` and ``plot`` give it form.
"""
