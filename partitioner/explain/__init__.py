"""Explain a decision: as data, as charts and as an HTML page.

It imports ``profile``, ``decide``, ``plan`` and ``graph``, not ``cuts`` beside it.
"""
