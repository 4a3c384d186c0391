"""Cuts: say what this room is for."""
