"""A model as a read-only graph of operators and values, whatever its file format: orders, arithmetic, fusion.

It imports no other room of the partitioner.
"""
