"""How a device gets access to a cloud: its token, TLS, and the diagnosis of failed TLS connections.

May import nothing else of edge, except the address of a cloud.
"""
