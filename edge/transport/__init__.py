"""How clouds are reached: addresses, TLS and tokens, calls and streams over gRPC, the next cloud after a loss.

May import no other room of edge. gRPC is imported by the modules that need it, never by this package itself.
"""
