"""Find a graph's cuts and select the useful ones for a chain: minimum cuts, swept over bandwidths.

It imports ``profile``, ``decide``, ``plan`` and ``graph``, not ``explain`` beside it.
"""
