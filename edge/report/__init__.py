"""What people and programs are told of a run: the terminal's lines, the JSON object, statistics of bounded size.

May import decision and what lies below it; it knows no options.
"""
