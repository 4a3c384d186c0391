"""Heads: how outputs become candidate boxes, masks, poses and text. One module a family; detectors are in ``table``."""
