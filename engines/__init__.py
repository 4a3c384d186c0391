"""What runs a stage, one folder a runtime: ONNX Runtime, LiteRT, torch, and a fake that obeys the same protocol.

``interface`` says what an engine is; ``registry`` finds engines by name through entry points and imports their packages
when an engine is made. May import ``proto``, ``system`` and below.
"""
