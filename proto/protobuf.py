"""Just enough of protobuf's layout to find a message's fields without loading it.

See https://protobuf.dev/programming-guides/encoding. Needed because a model's weights are too large to parse.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

Buffer = bytes | mmap.mmap


class NotProtobufError(Exception):
    """The bytes are no protobuf message."""


def fields(data: Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Field number, start of its tag, start and end of its contents, for each field of a message."""
    while at < end:
        tag = at
        key, at = read_varint(data, at, end)
        number, wire = key >> 3, key & 7
        begin = at
        if wire == 0:
            _, at = read_varint(data, at, end)
        elif wire == 2:
            length, begin = read_varint(data, at, end)
            at = begin + length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise NotProtobufError
        if number == 0:
            raise NotProtobufError
        if at > end:
            raise EOFError
        yield number, tag, begin, at


def read_varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise EOFError
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotProtobufError
