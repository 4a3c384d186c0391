"""Operators: say what this room is for."""
