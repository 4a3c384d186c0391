"""Health, models and Prometheus metrics over HTTP; needs the extra ``cloud``.

It reads a running server; it imports no other part of the cloud.
"""
