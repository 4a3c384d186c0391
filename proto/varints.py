"""Small counts in few bytes, as they stand in front of a coded tensor."""

from __future__ import annotations

from partway.errors import CodecError

_VARINT_BYTES = 4


def varints(numbers: tuple[int, ...]) -> bytes:
    """Unsigned integers below 2**28, seven bits a byte, low ones first."""
    made = bytearray()
    for number in numbers:
        while number > 127:
            made.append(number & 127 | 128)
            number >>= 7  # noqa: PLW2901 - what is left of it
        made.append(number)
    return bytes(made)


def read_varints(body: memoryview, at: int, count: int) -> tuple[list[int], int]:
    """``count`` integers from ``at`` on, and where they end. Raises CodecError when one ends early or not."""
    numbers = []
    for _ in range(count):
        number = 0
        for place in range(_VARINT_BYTES):
            if at >= len(body):
                raise CodecError("a coded tensor ends within its counts")
            byte = body[at]
            at += 1
            number |= (byte & 127) << (7 * place)
            if byte < 128:
                break
        else:
            raise CodecError("a count in a coded tensor is too large")
        numbers.append(number)
    return numbers, at
