"""Profile: say what this room is for."""
