"""Formats: say what this room is for."""
