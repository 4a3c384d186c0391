"""Sources: say what this room is for."""
