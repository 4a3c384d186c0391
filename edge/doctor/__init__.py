"""``partway doctor``: checks of this machine, its network and the clouds around it, each with what to do.

May import decision and what lies below it.
"""
