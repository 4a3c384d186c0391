"""Which frames run when, and which run together: the scheduler, the queue, and the thread that runs them.

Imports ``answer`` and ``models``; knows no sockets.
"""
