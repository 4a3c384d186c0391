"""A model file before it is sliced: its format, what users say of it, and what a wrong file is. May import the plan."""
