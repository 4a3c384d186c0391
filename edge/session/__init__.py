"""One run of the device half: open a model and a cloud, decide, join what answers frames; and that as a library.

May import everything in edge but ``main`` and ``emulator``; only command lines use its ``health``.
"""
