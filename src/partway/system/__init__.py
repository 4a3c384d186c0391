"""System: say what this room is for."""
