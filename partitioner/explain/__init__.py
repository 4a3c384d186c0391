"""Why a plan is decided as it is: the explanation as data, as charts and as a page.

It imports ``profile``, ``decide``, ``plan`` and ``graph``, not ``cuts`` beside it.
"""
