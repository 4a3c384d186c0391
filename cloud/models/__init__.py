"""Models: say what this room is for."""
