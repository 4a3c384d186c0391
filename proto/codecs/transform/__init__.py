"""Transform coding with tables from calibration: DCT and KLT, quantisation, symbols, Huffman codes.

``codec`` joins the steps, ``codebook`` reads them from a plan. May import ``proto.codecs``, numpy and zlib.
"""
