"""Doctor: say what this room is for."""
