"""Access: say what this room is for."""
