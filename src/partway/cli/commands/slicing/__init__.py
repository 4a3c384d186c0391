"""The verbs that read a model file and cut it: ``cuts``, ``slice``, ``plan`` and ``quantize``, with their options."""
