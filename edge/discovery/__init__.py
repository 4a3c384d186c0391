"""Discovery: say what this room is for."""
