"""The plan: stages, cuts and measurements as data; its file, its checks, its stage files, the chain that runs it.

Pictures become input tensors here as well, for device and cloud alike. It imports ``graph``.
"""
