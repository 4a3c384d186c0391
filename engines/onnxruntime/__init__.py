"""Onnxruntime: say what this room is for."""
