"""How activations and pictures are packed to cross the link, one module a method.

``interface`` says what a codec is, ``registry`` finds codecs by name through entry points, ``packing`` makes tensors of
frames and back. May import ``proto`` and what ``proto`` may.
"""
