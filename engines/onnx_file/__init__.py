"""ONNX files read from their bytes, without the onnx package: graph, operators, constants, external weights.

May import ``engines.interface``, ``proto`` and numpy.
"""
