"""Find a graph's cuts and select the useful ones for a chain, by coded bytes and measured times.

``chain.py`` shows the way: legal cuts (``candidates.py``), their costs (``measured.py``, ``costs.py``), the situations
they serve (``situations.py``), the choice (``selection.py``).

It imports ``profile``, ``decide``, ``plan`` and ``graph``, not ``explain`` beside it.
"""
