"""Which cuts a graph has and which of them are worth having in a chain: minimum cuts, swept over bandwidths.

It imports ``profile``, ``decide``, ``plan`` and ``graph``, not ``explain`` beside it.
"""
