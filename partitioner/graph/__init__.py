"""Graph: say what this room is for."""
