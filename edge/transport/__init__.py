"""Transport: say what this room is for."""
