"""What runs a stage: ONNX Runtime, LiteRT, torch, and a fake that obeys the same protocol."""
