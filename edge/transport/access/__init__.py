"""How a device is let into a cloud: its token, TLS and the diagnosis of a TLS connection that fails.

May import nothing else of edge, except the address of a cloud.
"""
