"""ONNX files: read into a graph, sliced into stages, weights of any size. Needs the onnx package.

It imports ``cuts``, ``plan`` and ``graph``, and no other format.
"""
