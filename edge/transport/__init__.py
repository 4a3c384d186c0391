"""Connects to clouds: addresses, TLS and tokens, calls and streams over gRPC, failover to the next cloud.

May import no other room of edge. gRPC is imported by the modules that need it, never by this package itself.
"""
