"""Frames as bytes: ModelInferRequest to the cloud, ModelStreamInferResponse back; protobuf never copies tensors.

A message that begins with the header of the one before is not scanned again. Fields may come in any order, repeated or
unknown, as protobuf allows.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Sequence
from typing import Any, NamedTuple

from partway.errors import WireError
from partway.proto.header import (
    MAX_CACHED_HEADER_BYTES,
    Header,
    parse_request,
    parse_response,
    request_bytes,
    response_bytes,
)
from partway.proto.protowire import LENGTH, MAX_FIELDS, read_varint, scan, varint

Buffer = bytes | memoryview
"""Bytes of one tensor; a memoryview is one-dimensional, of single bytes."""
_ID_TAG = 3 << 3 | LENGTH


class Frame(NamedTuple):
    """A request or a response: header, id, and one buffer per tensor (none when the tensors came as typed contents)."""

    header: Header
    id: str
    raw: tuple[Buffer, ...]


class Durations(NamedTuple):
    """Seconds the cloud spent on a frame: waiting, decoding, running the suffix."""

    queue_s: float = 0.0
    decode_s: float = 0.0
    suffix_s: float = 0.0


class Reply(NamedTuple):
    """An answer off the stream: a frame with the cloud's durations, or an error sentence with the frame's id."""

    frame: Frame
    durations: Durations
    error: str = ""


def encode_request(frame: Frame) -> bytes:
    """ModelInferRequest bytes. One copy of the tensors, into the message."""
    return b"".join((request_bytes(frame.header), _text(3, frame.id), *_blobs(7, frame.raw)))


def decode_request(message: bytes) -> Frame:
    """Inverse of encode_request; the buffers are views into ``message``. Raises WireError on malformed bytes."""
    prefix, header = _last_request
    if prefix and message.startswith(prefix):
        rest = _rest(message, len(prefix), 0x3A)
        if rest is not None:
            return Frame(header, *rest)
    return _parsed_request(message)


def _parsed_request(message: bytes) -> Frame:
    global _last_request  # noqa: PLW0603 - a cache of the last header; any content gives the same result
    fields, frame_id, raw, _ = _split_fields(message, 0, len(message), 7)
    header = parse_request(fields)
    if len(fields) <= MAX_CACHED_HEADER_BYTES:
        _last_request = (fields, header)
    return Frame(header, frame_id, raw)


def _rest(message: bytes, at: int, raw_tag: int) -> tuple[str, tuple[memoryview, ...]] | None:
    """Id and tensors of a message with the same header as the one before; None when anything else follows.

    Frames of a stream differ in nothing else, so most are never scanned.
    """
    end = len(message)
    if at + 2 > end or message[at] != _ID_TAG or message[at + 1] > 0x7F:
        return None
    body = at + 2
    at = body + message[at + 1]
    frame_id = message[body:at]
    view = memoryview(message)
    raw: list[memoryview] = []
    while at < end:
        if message[at] != raw_tag or len(raw) == MAX_FIELDS:
            return None
        size, body = read_varint(message, at + 1)
        at = body + size
        raw.append(view[body:at])
    return (_string(frame_id), tuple(raw)) if at == end else None


def encode_reply(reply: Reply) -> bytes:
    """ModelStreamInferResponse bytes, the durations as double parameters ``partway.queue_s`` and so on."""
    parts = _response_parts(reply.frame, reply.durations)
    size = sum(map(len, parts))
    error = _text(1, reply.error) if reply.error else b""
    return b"".join((error, b"\x12", varint(size), *parts))


def encode_response(frame: Frame, durations: Durations) -> bytes:
    """ModelInferResponse bytes, as the unary call returns them."""
    return b"".join(_response_parts(frame, durations))


def _response_parts(frame: Frame, durations: Durations) -> list[Buffer]:
    timing = _DURATIONS.pack(*_interleave(durations))
    return [response_bytes(frame.header), timing, _text(3, frame.id), *_blobs(6, frame.raw)]


def decode_reply(message: bytes) -> Reply:
    """Inverse of encode_reply. Raises WireError on malformed bytes."""
    return _cached_reply(message) or _parsed_reply(message)


def _cached_reply(message: bytes) -> Reply | None:
    """The reply when its header equals the previous one's, else None."""
    prefix, header = _last_reply
    if not prefix or message[:1] != b"\x12":
        return None
    size, at = read_varint(message, 1)
    if at + size != len(message) or not message.startswith(prefix, at):
        return None
    at += len(prefix)
    entries = message[at : at + _DURATIONS.size]
    if len(entries) < _DURATIONS.size:
        return None
    q, queue_s, d, decode_s, s, suffix_s = _DURATIONS.unpack(entries)
    rest = _rest(message, at + _DURATIONS.size, 0x32) if (q, d, s) == _ENTRIES else None
    return None if rest is None else Reply(Frame(header, *rest), Durations(queue_s, decode_s, suffix_s))


def _parsed_reply(message: bytes) -> Reply:
    error, answers = "", []
    for number, kind, _, body, end in scan(message):
        if number == 1 and kind == LENGTH:
            error = _string(message[body:end])
        elif number == 2 and kind == LENGTH:
            answers.append((body, end))
    if len(answers) > 1:  # protobuf merges a repeated message, and a concatenation is a merge
        message = b"".join(message[body:end] for body, end in answers)
        answers = [(0, len(message))]
    frame, durations = _decode_response(message, *(answers[0] if answers else (0, 0)))
    return Reply(frame, durations, error)


def decode_response(message: bytes) -> tuple[Frame, Durations]:
    """Inverse of encode_response. Raises WireError on malformed bytes."""
    return _decode_response(message, 0, len(message))


def _decode_response(message: bytes, at: int, end: int) -> tuple[Frame, Durations]:
    global _last_reply  # noqa: PLW0603 - a cache, as above
    fields, frame_id, raw, timing = _split_fields(message, at, end, 6, _KEYS)
    header = parse_response(fields)
    if len(fields) <= MAX_CACHED_HEADER_BYTES:
        _last_reply = (fields, header)
    return Frame(header, frame_id, raw), _durations(timing)


def _split_fields(
    message: bytes, at: int, until: int, raw_field: int, keys: Container[bytes] = ()
) -> tuple[bytes, str, tuple[memoryview, ...], list[bytes]]:
    """The header's bytes, the id, views of the tensors and the parameters in ``keys``."""
    header: list[bytes] = []
    raw: list[memoryview] = []
    timing: list[bytes] = []
    frame_id = ""
    for number, kind, start, body, end in scan(message, at, until):
        if kind == LENGTH and number == raw_field:
            raw.append(memoryview(message)[body:end])
        elif kind == LENGTH and number == 3:
            frame_id = _string(message[body:end])
        elif kind == LENGTH and number == 4 and message[body : max(body, end - 8)] in keys:
            timing.append(message[body:end])
        else:
            header.append(message[start:end])
    return b"".join(header), frame_id, tuple(raw), timing


def _text(field: int, value: str) -> bytes:
    data = value.encode()
    return bytes((field << 3 | LENGTH,)) + varint(len(data)) + data


def _string(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WireError("the message is malformed: a text field is not UTF-8") from None


def _blobs(field: int, raw: Sequence[Buffer]) -> list[Buffer]:
    tag = bytes((field << 3 | LENGTH,))
    return [part for buffer in raw for part in (tag + varint(len(buffer)), buffer)]


def _duration_entry(name: str) -> bytes:
    """The map entry of a double parameter, all but its last eight bytes."""
    key = name.encode()
    body = b"\x0a" + varint(len(key)) + key + b"\x12\x09\x21"
    return b"\x22" + varint(len(body) + 8) + body


_NAMES = ("partway.queue_s", "partway.decode_s", "partway.suffix_s")
_ENTRIES = tuple(_duration_entry(name) for name in _NAMES)
_DURATIONS = struct.Struct("<" + "".join(f"{len(entry)}sd" for entry in _ENTRIES))
_KEYS = {entry[2:]: index for index, entry in enumerate(_ENTRIES)}


def _interleave(durations: Durations) -> tuple[Any, ...]:
    q, d, s = _ENTRIES
    return (q, durations.queue_s, d, durations.decode_s, s, durations.suffix_s)


def _durations(entries: list[bytes]) -> Durations:
    seconds = [0.0, 0.0, 0.0]
    for entry in entries:
        (seconds[_KEYS[entry[:-8]]],) = struct.unpack("<d", entry[-8:])
    return Durations(*seconds)


_last_request: tuple[bytes, Header] = (b"", Header(""))
_last_reply: tuple[bytes, Header] = (b"", Header(""))
