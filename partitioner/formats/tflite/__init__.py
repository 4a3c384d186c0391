"""Tflite: say what this room is for."""
