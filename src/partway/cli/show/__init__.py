"""Prints the results of the verbs: tables for people, JSON for programs. Only the verbs import this room."""
