"""Services of this machine for both halves: command lines, files, credentials, health, systemd.

Imports ``partway.plugins``, ``partway.units`` and ``partway.errors`` only.
"""
