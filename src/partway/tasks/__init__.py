"""Tasks: what a model's outputs mean to people. Decode them, compare two answers, draw one on its picture.

Pure functions on arrays; Pillow is imported only to draw. May import ``plugins``, ``units`` and ``errors`` only.
"""
