"""Arithmetic that several tasks share: boxes, grids, masks, words. May import ``units`` and ``errors`` only."""
