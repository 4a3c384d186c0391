"""Fitted codecs as a plan holds them: one JSON entry per tensor, its basis once and every quality with its tables."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from partway.errors import CodecError, InputError
from partway.proto.codecs.registry import Codebook, is_taken
from partway.proto.codecs.transform.codec import Transform
from partway.proto.codecs.transform.dct_klt import LAYOUTS, MAX_SIDE, Basis, bands
from partway.proto.codecs.transform.symbols import DROPPED, SEGMENTS

Array = np.ndarray[Any, Any]
MAX_ELEMENTS = 1 << 24
MAX_MIXED = 2048
"""Most channels that are mixed into components."""
_FRACTION = np.float32(32767)


def codebook(entries: Iterable[Mapping[str, Any]]) -> Codebook:
    """The codecs of a plan's ``codecs``. Raises InputError when an entry is damaged."""
    book: dict[str, dict[str, Transform]] = {}
    for entry in entries:
        try:
            value, codecs = str(entry["value"]), from_json(entry)
        except (KeyError, TypeError, ValueError, OverflowError, binascii.Error, zlib.error, CodecError) as error:
            raise InputError(
                f"a codec of the plan is damaged ({error!s:.200}); write it again with `partway plan`"
            ) from error
        for codec in codecs:
            if is_taken(codec.name):
                raise InputError(f"a codec of the plan is called {codec.name}, which is taken; write the plan again")
            book.setdefault(codec.name, {})[value] = codec
    return book


def to_json(value: str, qualities: Iterable[Transform]) -> dict[str, Any]:
    """The entry of one tensor; its qualities share their basis."""
    codecs = list(qualities)
    first = codecs[0]
    vectors, groups = first.basis.vectors, first.basis.groups
    return {
        "value": value,
        "kind": "transform" if groups is None else "grouped transform",
        "dtype": first.dtype,
        "layout": first.basis.layout,
        "shape": list(first.basis.shape),
        "low": first.low,
        "high": first.high,
        "mean": _text(first.basis.mean.astype("<f4")),
        "vectors": None if vectors is None else _text(np.rint(vectors * _FRACTION).astype("<i2")),
        **({} if groups is None else {"groups": groups.tolist()}),
        "qualities": [
            {
                "name": codec.name,
                "steps": _text(codec.steps.astype("<f4")),
                "segments": _text(codec.segments),
                "lengths": _text(np.concatenate(codec.lengths)),
            }
            for codec in codecs
        ],
    }


def from_json(entry: Mapping[str, Any]) -> list[Transform]:
    """Inverse of to_json. Raises ValueError or CodecError on anything that cannot be."""
    shape, layout, dtype = tuple(int(size) for size in entry["shape"]), str(entry["layout"]), str(entry["dtype"])
    elements = int(np.prod(shape, dtype=np.float64))
    supported = entry["kind"] in ("transform", "grouped transform") and layout in LAYOUTS
    if not supported or not 1 <= len(shape) <= 3 or min(shape) < 1:
        raise ValueError("kind, layout or shape")
    if elements > MAX_ELEMENTS or np.dtype(dtype).kind not in "iuf":
        raise ValueError("size or dtype")
    basis = _basis(entry, layout, shape)
    low, high = float(entry["low"]), float(entry["high"])
    if not -np.inf < low <= high < np.inf:
        raise ValueError("low or high")
    return [_quality(quality, dtype, basis, low, high) for quality in entry["qualities"]]


def _basis(entry: Mapping[str, Any], layout: str, shape: tuple[int, ...]) -> Basis:
    height, width, channels = Basis(layout, shape, np.zeros(1, np.float32), None).size
    if max(height, width) > MAX_SIDE:
        raise ValueError("size")
    mean = _array(entry["mean"], "<f4", (channels,)).astype(np.float32)
    if not np.isfinite(mean).all():
        raise ValueError("mean")
    if entry["vectors"] is None:
        return Basis(layout, shape, mean, None)
    if channels > MAX_MIXED:
        raise ValueError("channels")
    if entry["kind"] == "grouped transform":
        groups = np.array([int(group) for group in entry["groups"]])
        last = int(bands(height, width).max())
        if len(groups) != last + 1 or groups[0] != 0 or not np.isin(np.diff(groups), (0, 1)).all():
            raise ValueError("groups")
        vectors = _array(entry["vectors"], "<i2", (int(groups[-1]) + 1, channels, channels))
        return Basis(layout, shape, mean, vectors.astype(np.float32) / _FRACTION, groups.astype(np.uint8))
    vectors = _array(entry["vectors"], "<i2", (channels, channels))
    return Basis(layout, shape, mean, vectors.astype(np.float32) / _FRACTION)


def _quality(data: Mapping[str, Any], dtype: str, basis: Basis, low: float, high: float) -> Transform:
    height, width, channels = basis.size
    table = (channels, int(bands(height, width).max()) + 1)
    steps = _array(data["steps"], "<f4", table).astype(np.float32)
    segments = _array(data["segments"], "u1", table)
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError("steps")
    if not ((segments < len(SEGMENTS)) | (segments == DROPPED)).all():
        raise ValueError("segments")
    sizes = [segment.symbols + 1 for segment in SEGMENTS]
    lengths = np.split(_array(data["lengths"], "u1", (sum(sizes),)), np.cumsum(sizes)[:-1])
    transform = Transform(str(data["name"]), dtype, basis, steps, segments, tuple(lengths), low, high)
    _ = transform.code  # checks the tables
    return transform


def _text(array: Array) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()


def _array(text: str, dtype: str, shape: tuple[int, ...]) -> Array:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(text, validate=True), size + 1)
    if len(data) != size or not unpacker.eof:
        raise ValueError(f"{len(data)} bytes where {size} belong")
    return np.frombuffer(data, dtype).reshape(shape)
