"""Chooses split and codec: measured and tried at the start, then chosen again before each frame.

May import pipeline, discovery, transport and sources.
"""
