"""Half precision: two bytes a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partway.errors import CodecError
from partway.proto.codecs.interface import Array, CodecFamily, exactly
from partway.proto.tensors import TensorSpec

_LIMIT = np.finfo(np.float16).max


@dataclass(frozen=True, slots=True)
class Fp16:
    """IEEE half precision: half the bytes of float32, relative error at most 2**-11 within +-65504."""

    name: str = "fp16"
    lossless: bool = False

    def encode(self, array: Array) -> bytes:
        """Values beyond half precision's range are clamped to it; NaN stays NaN."""
        return np.clip(array, -_LIMIT, _LIMIT).astype("<f2").tobytes()

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """See Codec."""
        if not np.issubdtype(np.dtype(dtype), np.floating):
            raise CodecError(f"codec fp16 packs floating point tensors, not {dtype}")
        return exactly(body, np.dtype("<f2"), shape).astype(dtype)

    def packs(self, spec: TensorSpec) -> bool:
        """Only floats wider than half precision gain."""
        return spec.dtype in ("float32", "float64")

    def fits(self, array: Array) -> bool:
        """See packs."""
        return array.dtype.name in ("float32", "float64")


FP16 = CodecFamily("fp16", "fp16", "floats as half precision", lambda _: Fp16(), rank=0)
