"""Heads of detectors: how a model's outputs become candidate boxes. One module a family, all of them in ``table``."""
