"""Takes a frame through prefix, encoding, sending, reply and result; every frame gets exactly one answer.

May import transport and sources; it chooses no candidate.
"""
