"""What codecs and quantization cost in answers, measured on real inputs, and codecs fitted to a model.

It imports every other room of the partitioner except ``resolve``.
"""
