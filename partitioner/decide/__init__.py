"""Choose the best split: candidates, estimates, objectives, constraints, and how the choice changes with the link.

It imports ``plan`` and ``graph``, and runs no model.
"""
