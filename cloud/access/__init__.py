"""Access control of the cloud: the bearer token, and TLS with certificates that can be renewed while it runs.

Imports nothing else of the cloud.
"""
