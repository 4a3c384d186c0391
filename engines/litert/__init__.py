"""Litert: say what this room is for."""
