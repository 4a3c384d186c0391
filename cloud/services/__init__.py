"""The gRPC services: inference, the split service, health, audits, and the order of replies on a stream.

Imports ``batching``, ``answer``, ``models`` and ``access``.
"""
