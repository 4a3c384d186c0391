"""Transform: say what this room is for."""
