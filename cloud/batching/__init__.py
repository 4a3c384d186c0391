"""Batching: say what this room is for."""
