"""Onnx file: say what this room is for."""
