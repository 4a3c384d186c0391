"""ONNX operators as torch functions, one module a kind.

Each enters its functions into ``operator_table`` when imported.
May import ``engines.torch.operator_table``, ``engines.onnx_file`` and torch.
"""
