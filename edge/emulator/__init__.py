"""Links that are worse than this machine's: a shaping relay, and whole runs replayed over recorded traces.

A replay runs a session, so this room lies above session; nothing in edge but ``main`` may import it.
"""
