"""Reports of a run for people and programs: the terminal's lines, the JSON object, statistics of bounded size.

May import decision and the rooms below it; it does not know the options.
"""
