"""Session: say what this room is for."""
