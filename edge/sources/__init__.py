"""Where frames come from: files, folders, videos, cameras, standard input, a program's own values.

May import no other room of edge.
"""
