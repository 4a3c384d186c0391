"""Heads of poses, and which of them outputs belong to. May import the other heads."""
