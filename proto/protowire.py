"""Protobuf's wire format by hand, just enough to keep large tensors and files out of the protobuf runtime.

A tensor in a protobuf ``bytes`` field is copied several times and its pages are faulted in anew for every message;
found by a scan of the top-level fields it is a view into the received buffer. A model's weights are too large to parse
for the same reason. The format is described at protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from itertools import islice

from partway.errors import WireError

FileBytes = bytes | mmap.mmap
"""The contents of a file, in memory or mapped."""
MAX_FIELDS = 4096
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
Field = tuple[int, int, int, int, int]
"""Field number, wire type, start, body, end; see :func:`fields`."""


class Truncated(WireError):  # noqa: N818 - says what is wrong
    """A field or a number ends after its message does."""


def varint(value: int) -> bytes:
    """Encode a non-negative integer below 2**64 as a base-128 varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(buffer: FileBytes | memoryview, at: int, end: int | None = None) -> tuple[int, int]:
    """Decode a varint at ``at``; returns value and offset behind it.

    Raises Truncated when it reaches past ``end`` (by default the buffer's), WireError when it exceeds 64 bits.
    """
    value = shift = 0
    end = len(buffer) if end is None else end
    while at < end:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
        shift += 7
        if shift > 63:
            break
    else:
        raise Truncated("the message is malformed: a number is cut short")
    raise WireError("the message is malformed: a number is too long")


def fields(buffer: FileBytes, at: int, end: int) -> Iterator[Field]:
    """The top-level fields of the message in ``buffer[at:end]``, none of them parsed.

    Each is ``(field number, wire type, start, body, end)``: the field lies in ``buffer[start:end]``, and for a
    length-delimited one its content in ``buffer[body:end]``. Unknown fields are listed like any other. Raises Truncated
    on a field past the end, WireError on a group or field number 0.
    """
    while at < end:
        start = at
        tag = buffer[at]
        at += 1
        if tag > 0x7F:  # short numbers are read inline: this runs for every field of every frame
            tag, at = read_varint(buffer, start)
        kind, body = tag & 7, at
        if kind == LENGTH:
            if at < end and (size := buffer[at]) < 0x80:
                body += 1
            else:
                size, body = read_varint(buffer, at)
            at = body + size
        elif kind == VARINT:
            _, at = read_varint(buffer, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise WireError(f"the message is malformed: wire type {kind} is not used by this protocol")
        if tag < 8:
            raise WireError("the message is malformed: field number 0")
        if at > end:
            raise Truncated("the message is malformed: a field past the end")
        yield tag >> 3, kind, start, body, at


def scan(buffer: bytes, at: int = 0, end: int | None = None) -> list[Field]:
    """All ``fields`` of a message from the network. Raises WireError also on more than MAX_FIELDS of them."""
    found = list(islice(fields(buffer, at, len(buffer) if end is None else end), MAX_FIELDS + 1))
    if len(found) > MAX_FIELDS:
        raise WireError("the message is malformed: too many fields")
    return found
