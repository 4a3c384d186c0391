"""Stages on ONNX Runtime: on the CPU, on its GPU providers, and timed operator by operator.

``entry`` is what the registry loads; it imports ``onnxruntime`` when an engine is made. May import
``engines.interface``, ``engines.onnx_file``, ``proto`` and onnxruntime.
"""
