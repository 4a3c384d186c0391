"""What a program of either half asks of this machine: command lines, files, credentials, health, systemd.

Imports ``partway.plugins``, ``partway.units`` and ``partway.errors`` only.
"""
