"""Partway runs a neural network partway on a small device and the rest of the way in the cloud."""

__version__ = "0.1.0"
