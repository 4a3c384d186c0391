"""What must be true of a TFLite file before an interpreter gets it: an interpreter may end the process over less."""

from __future__ import annotations

from partway.engines.litert.bounds import NotFlatbufferError, check_bounds
from partway.errors import InputError

IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of every TFLite file since schema version 3."""


def check_tflite(stage: bytes) -> None:
    """Raise InputError unless the bytes are a TFLite flatbuffer with every offset inside it."""
    if stage[4:8] != IDENTIFIER:
        raise InputError("LiteRT cannot load this stage: it is no TFLite file (bytes 4 to 7 are not TFL3)")
    try:
        check_bounds(memoryview(stage))
    except NotFlatbufferError as error:
        raise InputError(f"LiteRT cannot load this stage, it is damaged: {error}; fetch or slice it again") from error
