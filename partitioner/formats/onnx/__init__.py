"""Onnx: say what this room is for."""
