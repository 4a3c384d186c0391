"""The wire: frames, messages, datatypes and codecs, from bytes to arrays and back.

Knows tensors and bytes; no models, files, tokens or sockets. May import ``units``, ``errors`` and ``plugins``.
"""
