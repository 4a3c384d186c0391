"""``partway doctor``: checks of this machine, its network and the clouds around it, each with advice.

May import decision and the rooms below it.
"""
