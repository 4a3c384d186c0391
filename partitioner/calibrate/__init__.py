"""Calibrate: say what this room is for."""
