"""The way of a frame: prefix, encoding, in flight, reply, result; every frame is answered exactly once.

May import transport and sources; it decides nothing.
"""
