"""Which split is best: candidates, estimates, objectives, constraints, and where the choice changes with the link.

It imports ``plan`` and ``graph``, and runs no model.
"""
