"""Services: say what this room is for."""
