"""Decides when frames run and which run together: the scheduler, the queue, and the thread that runs them.

Imports ``answer`` and ``models``; it does not use sockets.
"""
