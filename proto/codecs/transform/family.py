"""The names of fitted transforms, known without loading the transform itself."""

from __future__ import annotations

from partway.proto.codecs.interface import CodecFamily

TRANSFORM = CodecFamily(
    "tPERCENT",
    "t[1-9][0-9]{0,2}",
    "a tensor that calibration fitted a transform to, in steps of so many per cent of its standard deviation",
    None,
    rank=5,
)
"""Plans bring these codecs along: see :mod:`~partway.proto.codecs.transform.codebook`."""
