"""Times of machines: measure stages and operators, read and write profiles, predict other models.

It imports ``decide``, ``plan`` and ``graph``.
"""
