"""The ``partway`` command. ``main`` finds the verb, ``commands`` has one file per verb, ``show`` prints the results.

May import every other room; no room imports this one.
"""
