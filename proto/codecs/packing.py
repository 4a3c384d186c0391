"""Pack tensors for the link, and unpack them.

``raw`` is the tensor itself, a plain Open Inference tensor. Every other codec makes a blob: a msgpack header (codec,
dtype, shape) followed by little-endian bytes. Decoding never allocates more than the shape the plan announces.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgpack
import numpy as np

from partway.errors import CodecError
from partway.proto.codecs.interface import Array, check_bool, exactly
from partway.proto.codecs.registry import NO_BOOK, RAW, Codebook, codec_names, find, unknown_codec
from partway.proto.datatypes import BYTES, NUMPY_NAME, numpy_dtype, oip_datatype
from partway.proto.frame import Buffer
from partway.proto.header import TensorHead
from partway.proto.tensors import MAX_BATCH, TensorSpec

MAX_HEADER_BYTES = 1024
_LENGTH = struct.Struct("<I")
_BOOL = numpy_dtype("BOOL")


def pack(codec: str, name: str, array: Array, book: Codebook = NO_BOOK) -> tuple[TensorHead, Buffer]:
    """Pack one tensor for the wire. An array that does not fit the codec (integers with fp16) is sent raw."""
    if codec == RAW:
        return _raw(name, array)
    found = find(codec, name, book)
    if found is None and codec not in book:
        raise unknown_codec(codec, codec_names(book))
    if found is None or not found.fits(array):
        return _raw(name, array)
    header = msgpack.packb({"codec": codec, "dtype": array.dtype.name, "shape": list(array.shape)})
    return blob(name, header + found.encode(np.ascontiguousarray(array)))


def _raw(name: str, array: Array) -> tuple[TensorHead, Buffer]:
    dtype = array.dtype
    if not dtype.isnative or not array.flags.c_contiguous:
        array = np.ascontiguousarray(array, dtype.newbyteorder("=")).reshape(array.shape)
    return _raw_head(name, array.dtype, array.shape), _bytes_of(array)


@lru_cache(maxsize=512)
def _raw_head(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> TensorHead:
    return TensorHead(name, oip_datatype(dtype), shape)


def blob(name: str, *elements: bytes) -> tuple[TensorHead, Buffer]:
    """Coded tensors or pictures as BYTES elements, each preceded by its length."""
    data = b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))
    return TensorHead(name, BYTES, (len(elements),)), data


def unpack(head: TensorHead, data: Buffer, spec: TensorSpec, book: Codebook = NO_BOOK) -> Array:
    """Unpack one tensor and check it against the plan. Raises CodecError on any mismatch."""
    view = memoryview(data)
    if head.datatype != BYTES:
        return _unpack_raw(head, view, spec)
    elements = blob_elements(head, view)
    if len(elements) != 1:
        raise CodecError(f"{head.name}: a coded tensor is one BYTES element, {len(elements)} came")
    body = elements[0]
    header, at = _header(body)
    codec = find(header["codec"], spec.name, book)
    if codec is None:
        raise CodecError(f"{head.name}: unknown codec {header['codec']!r:.40}; known: {', '.join(codec_names(book))}")
    _check(head.name, header["dtype"], header["shape"], spec)
    check_size(head.name, header["shape"], spec)
    return codec.decode(body[at:], spec.dtype, header["shape"])


def blob_elements(head: TensorHead, view: memoryview) -> list[memoryview]:
    """The elements of a one-dimensional BYTES tensor, at most MAX_BATCH, every length checked. Raises CodecError."""
    elements: list[memoryview] = []
    at = 0
    while at + 4 <= len(view) and len(elements) < MAX_BATCH:
        (size,) = _LENGTH.unpack(view[at : at + 4])
        elements.append(view[at + 4 : at + 4 + size])
        at += 4 + size
    if head.shape != (len(elements),) or at != len(view):
        raise CodecError(f"{head.name!r:.80}: the lengths of its BYTES elements do not add up to the bytes received")
    return elements


def _unpack_raw(head: TensorHead, view: memoryview, spec: TensorSpec) -> Array:
    dtype = numpy_dtype(head.datatype)
    _check(head.name, NUMPY_NAME[head.datatype], head.shape, spec)
    return exactly(view, dtype, head.shape)


def _bytes_of(array: Array) -> Buffer:
    little = array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data if little.size else b""


class RawLayout(NamedTuple):
    """The layout of frames with one header: name, dtype, shape and bytes of every tensor, checked in advance."""

    tensors: tuple[tuple[str, np.dtype[Any], tuple[int, ...], int], ...]

    def read(self, raw: tuple[Buffer, ...]) -> dict[str, Array]:
        """The tensors of one frame, views into its bytes. Raises CodecError when a length is off."""
        if len(raw) != len(self.tensors):
            raise CodecError(f"{len(self.tensors)} tensors need as many raw contents, {len(raw)} came")
        values = {}
        for data, (name, dtype, shape, size) in zip(raw, self.tensors, strict=True):
            if len(data) != size:
                raise CodecError(f"{name}: shape {list(shape)} of {dtype.name} takes {size} bytes, {len(data)} came")
            if dtype is _BOOL:
                check_bool(data)
            values[name] = np.frombuffer(data, dtype).reshape(shape)
        return values


def raw_layout(heads: tuple[TensorHead, ...], specs: Mapping[str, TensorSpec], least: int = 1) -> RawLayout | None:
    """The layout of uncoded tensors, each checked against the plan; None when any of them is coded.

    ``least`` is the smallest dimension allowed: 0 for answers, since a detector may find nothing.

    Raises CodecError when names, dtypes or shapes are not the plan's.
    """
    for head in heads:
        if head.name not in specs:
            raise CodecError(f"{head.name!r:.80} is none of {', '.join(specs)}")
        if head.datatype == BYTES:
            return None
        numpy_dtype(head.datatype)
        _check(head.name, NUMPY_NAME[head.datatype], head.shape, specs[head.name], least)
    dtypes = [numpy_dtype(head.datatype) for head in heads]
    return RawLayout(
        tuple((h.name, d, h.shape, math.prod(h.shape) * d.itemsize) for h, d in zip(heads, dtypes, strict=True))
    )


def _check(name: str, dtype: str, shape: tuple[int, ...], spec: TensorSpec, least: int = 1) -> None:
    if (min(shape, default=1) < least and not _may_be_empty(shape, spec)) or not spec.accepts(shape, dtype):
        expected = [-1 if size is None else size for size in spec.shape]
        raise CodecError(f"{name!r:.80} must be {spec.dtype} {expected}, {dtype} {list(shape)!s:.80} came")


def _may_be_empty(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    """Whether each size of 0 is one that a model leaves open, such as the length of an empty cache."""
    usual = spec.usual or spec.shape
    return len(shape) == len(usual) and all(
        size > 0 or (size == 0 and spec.shape[axis] is None and usual[axis] is not None)
        for axis, size in enumerate(shape)
    )


def check_size(name: str, shape: tuple[int, ...], spec: TensorSpec) -> None:
    """Raise CodecError for a tensor larger than those of MAX_BATCH frames of the usual size."""
    if math.prod(shape) > spec.most_elements:
        raise CodecError(
            f"{name!r:.80} has the shape {list(shape)!s:.80}; a frame holds at most {MAX_BATCH} samples of the usual"
            f" size, {spec.most_elements} numbers; send several frames"
        )


def _header(body: memoryview) -> tuple[dict[str, Any], int]:
    unpacker = msgpack.Unpacker(max_buffer_size=MAX_HEADER_BYTES, strict_map_key=True)
    unpacker.feed(body[:MAX_HEADER_BYTES])
    try:
        header = unpacker.unpack()
        at = unpacker.tell()
        codec, dtype, shape = header["codec"], header["dtype"], header["shape"]
        if not isinstance(shape, list) or any(type(size) is not int for size in shape):
            raise TypeError
        return {"codec": str(codec), "dtype": str(dtype), "shape": tuple(shape)}, at
    except (msgpack.exceptions.UnpackException, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CodecError(f"the header of a coded tensor does not parse ({type(error).__name__})") from None
