"""Decide: say what this room is for."""
