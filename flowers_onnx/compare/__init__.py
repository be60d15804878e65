"""``flowers compare``: two species, or two photos, side by side.

``subject`` makes sides of words, ``likeness`` and ``confusions`` say what the model makes of them,
``comparison`` is all of it; ``text`` and ``page`` show it.
"""
