"""Who may use this cloud: the bearer token, and TLS with certificates that are renewed while it runs.

Imports nothing else of the cloud.
"""
