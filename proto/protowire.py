"""Protobuf's wire format by hand, just enough to keep large tensors out of the protobuf runtime.

A tensor in a protobuf ``bytes`` field is copied several times and its pages are faulted in anew for every message;
found by a scan of the top-level fields it is a view into the received buffer. The format is described at
protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from partway.errors import WireError

MAX_FIELDS = 4096
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}


def varint(value: int) -> bytes:
    """Encode a non-negative integer below 2**64 as a base-128 varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(buffer: bytes, at: int) -> tuple[int, int]:
    """Decode a varint at ``at``; returns value and offset behind it. Raises WireError when cut short or too long."""
    value = shift = 0
    end = len(buffer)
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
    raise WireError("the message is malformed: a number is cut short or too long")


Field = tuple[int, int, int, int, int]


def scan(buffer: bytes, at: int = 0, end: int | None = None) -> list[Field]:
    """The top-level fields of the message in ``buffer[at:end]``, none of them parsed.

    Each is ``(field number, wire type, start, body, end)``: the field lies in ``buffer[start:end]``, and for a
    length-delimited one its content in ``buffer[body:end]``. Unknown fields are listed like any other. Raises WireError
    on a truncated field, a length past the end, a group, field number 0 or more than MAX_FIELDS fields.
    """
    end = len(buffer) if end is None else end
    found: list[Field] = []
    while at < end:
        start = at
        tag = buffer[at]
        at += 1
        if tag > 0x7F:  # the short case is inlined: this runs for every field of every frame
            tag, at = read_varint(buffer, start)
        kind, body = tag & 7, at
        if kind == LENGTH:
            size, body = read_varint(buffer, at)
            at = body + size
        elif kind == VARINT:
            _, at = read_varint(buffer, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise WireError(f"the message is malformed: wire type {kind} is not used by this protocol")
        if at > end or tag < 8 or len(found) == MAX_FIELDS:
            raise WireError("the message is malformed: a field past the end, field number 0 or too many fields")
        found.append((tag >> 3, kind, start, body, at))
    return found
