"""Explain: say what this room is for."""
