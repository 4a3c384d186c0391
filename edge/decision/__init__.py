"""Which split and codec the next frame takes: measured and tried at the start, chosen anew before each frame.

May import pipeline, discovery, transport and sources.
"""
