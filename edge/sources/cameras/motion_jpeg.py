"""Motion JPEG: a body of ``multipart/x-mixed-replace`` whose parts are pictures, as IP cameras send it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

MOST_BYTES = 64 << 20
"""Of one part: larger than any camera's picture, small enough for a small device."""
MOST_LINE = 1 << 16


class Stream(Protocol):
    """A body that is read from beginning to end."""

    def readline(self, limit: int = -1, /) -> bytes:
        """One line, at most ``limit`` bytes of it; empty at the end."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; fewer only at the end."""


def pictures(stream: Stream, boundary: str) -> Iterator[bytes]:
    """The body of each part, until the stream ends. Raises ValueError if it is no multipart body.

    A part's length is that of its Content-Length, else it ends before the next boundary. Cameras disagree on whether
    the boundary in the header has its dashes.
    """
    border = b"--" + boundary.strip().strip('"').lstrip("-").encode("latin-1", "replace")
    while (length := _skip_headers(stream)) is not None:
        body = _until(stream, border) if length < 0 else _exactly(stream, length)
        if body is None:
            return
        if body:
            yield body


def _skip_headers(stream: Stream) -> int | None:
    """Read to the end of a part's headers. The part's length, -1 if they do not tell it; None at the end."""
    length, lines, header = -1, 0, False
    while line := stream.readline(MOST_LINE):
        name, colon, value = line.partition(b":")
        lines += 1
        if lines > 1000:
            raise ValueError("it sends no parts of a multipart body")
        if header and not line.strip():
            return length
        header = header or bool(colon)
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
    return None


def _exactly(stream: Stream, length: int) -> bytes | None:
    if length > MOST_BYTES:
        raise ValueError(f"it announces a picture of {length} bytes")
    body = stream.read(length)
    return body if len(body) == length else None


def _until(stream: Stream, border: bytes) -> bytes | None:
    """The bytes before the line of the next boundary; None if the stream ends before."""
    lines: list[bytes] = []
    size = 0
    while line := stream.readline(MOST_LINE):
        if line.lstrip(b"-").startswith(border[2:]) and line.startswith(b"-"):
            return b"".join(lines).removesuffix(b"\n").removesuffix(b"\r")
        lines.append(line)
        size += len(line)
        if size > MOST_BYTES:
            raise ValueError(f"it sends a picture of more than {MOST_BYTES} bytes")
    return None
