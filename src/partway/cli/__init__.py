"""Cli: say what this room is for."""
