"""The ``partway`` command. ``main`` finds the verb, ``commands`` has one file a verb, ``show`` prints what they found.

May import every other room; no room imports this one.
"""
