"""Finds nearby clouds by zeroconf, and measures how near each is.

May import transport.
"""
