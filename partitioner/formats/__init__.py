"""Model files: one folder per format, which reads a file into a graph and writes its stages.

Formats are found through the entry points ``partway.formats``, by suffix; other packages add theirs the same way. It
imports ``cuts``, ``explain`` and what lies below them.
"""
