"""Which clouds there are near by, by zeroconf, and how near each is.

May import transport.
"""
