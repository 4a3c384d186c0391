"""Pipeline: say what this room is for."""
