"""Emulated links: a relay that shapes traffic, and whole runs replayed over recorded traces.

A replay runs a session, so this room lies above session; in edge only ``main`` may import it.
"""
