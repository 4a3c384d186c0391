"""What the verbs print: tables for people and JSON for programs. Only the verbs import this room."""
