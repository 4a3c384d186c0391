"""Measure on real inputs how codecs and quantization change answers, and fit codecs to a model.

It imports every other room of the partitioner except ``resolve``.
"""
