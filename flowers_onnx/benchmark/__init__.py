"""``flowers benchmark``: how long the program takes here, and where the time goes.

``options`` says what to measure and ``run`` runs the whole. ``measurement`` loads what is needed
and measures: ``scenarios`` hold what one run is, ``processes`` times new processes (this
program's, which is not imported), ``rounds`` decides how often, ``load`` whether the machine was
quiet. ``samples`` and ``compare`` draw conclusions; ``document`` declares the result's form,
``output`` and ``plot`` show it.
"""
