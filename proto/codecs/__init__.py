"""Codecs: say what this room is for."""
