"""Write a TFLite model: a flatbuffer whose weights lie where the interpreter expects them, on 16-byte boundaries."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.tflite.file import IDENTIFIER, flatbuffers, schema

ALIGNMENT_BYTES = 16
"""``force_align`` of Buffer.data in schema.fbs; the generated classes for Python forget it."""
LARGEST_FLATBUFFER_BYTES = (1 << 31) - (1 << 20)


class _Aligned:
    """A buffer of the model that packs itself aligned."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def Pack(self, builder: Any) -> int:  # noqa: N802 - what ModelT calls
        """Write the buffer; returns where."""
        start = None
        if self.data is not None:
            raw = np.ascontiguousarray(self.data, np.uint8)
            builder.StartVector(1, raw.size, ALIGNMENT_BYTES)
            builder.head -= raw.size
            builder.Bytes[builder.head : builder.head + raw.size] = raw.tobytes()
            start = builder.EndVector()
        schema.BufferStart(builder)
        if start is not None:
            schema.BufferAddData(builder, start)
        return int(schema.BufferEnd(builder))


def write_model(model: Any, path: Path) -> tuple[str, int]:
    """Write a ``ModelT``; returns the file's SHA-256 and size. Raises :class:`InputError` when it is too large."""
    size_bytes = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    if size_bytes > LARGEST_FLATBUFFER_BYTES:
        raise InputError(f"{path.name} would be over 2 GB, more than a flatbuffer holds; name more cuts")
    model.buffers = [_Aligned(buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(size_bytes + 65536)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    data = bytes(builder.Output())
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest(), len(data)
