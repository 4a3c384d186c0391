"""Where frames come from: files, folders, videos, cameras, standard input, a program's own values.

It imports no other room of edge.
"""
