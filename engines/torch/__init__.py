"""ONNX stages on torch: built operator by operator, run on the CPU or on an NVIDIA GPU.

``entry`` is what the registry loads; every other module imports torch. May import ``engines.interface``,
``engines.onnx_file``, ``proto`` and torch.
"""
