"""Plan: say what this room is for."""
