"""Torch: say what this room is for."""
