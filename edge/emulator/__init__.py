"""Emulator: say what this room is for."""
