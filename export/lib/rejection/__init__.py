"""How a model tells photos of its classes from others: ``../../docs/knowing.md``.

``photos`` gathers them with what the network makes of them, ``scores`` are the ways to judge them
and ``known_score`` the one that ships, ``rules`` finds its threshold and sets, ``graph`` writes it
into the ONNX file, ``figures`` and ``measure`` say how good it is.
"""
