"""Decision: say what this room is for."""
