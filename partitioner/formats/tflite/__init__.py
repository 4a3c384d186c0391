"""TFLite files: read into a graph, checked, sliced into stages. Needs flatbuffers.

It imports ``cuts``, ``plan`` and ``graph``, and no other format.
"""
