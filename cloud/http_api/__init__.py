"""Health, models and Prometheus metrics over HTTP; needs the extra ``cloud``.

Reads a running server that it is given; imports no other part of the cloud.
"""
