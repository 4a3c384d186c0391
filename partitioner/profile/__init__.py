"""How long a machine takes: stages and operators measured, profiles on disk, the times of other machines predicted.

It imports ``decide``, ``plan`` and ``graph``.
"""
