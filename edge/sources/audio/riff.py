"""Reads WAV files: PCM of 8, 16, 24 and 32 bits, floats of 32 and 64 bits, also with the extensible header.

Source: Microsoft's Multimedia Programming Interface and Data Specifications 1.0, and WAVEFORMATEXTENSIBLE.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from partway.errors import InputError
from partway.system.files import unreadable

Array = np.ndarray[Any, Any]
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
KINDS = {(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)}
BLOCK = 1 << 15
"""Samples read at once."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """``kind`` is PCM or FLOAT; ``start`` is the place of the first sample, ``size_bytes`` of all; None: to the end."""

    kind: int
    bits: int
    channels: int
    rate_hz: int
    start: int
    size_bytes: int | None


def read_format(path: Path) -> WavFormat:
    """The format of a WAV file. Raises InputError."""
    try:
        with path.open("rb") as file:
            return _format(file, path)
    except OSError as error:
        raise InputError(f"audio {unreadable(path, error)}; check the path") from error


def _format(file: BinaryIO, path: Path) -> WavFormat:
    magic = file.read(12)
    if magic[:4] not in (b"RIFF", b"RF64") or magic[8:] != b"WAVE":
        raise InputError(f"{path} is no WAV file; convert it, for example: ffmpeg -i FILE -ar 16000 -ac 1 out.wav")
    form: tuple[int, int, int, int] | None = None
    while len(header := file.read(8)) == 8:
        name, size = header[:4], struct.unpack("<I", header[4:])[0]
        if name == b"data" and form is not None:
            streamed = size in (0, 0xFFFFFFFF)  # written by a program that could not seek back, or RF64
            return WavFormat(*form, file.tell(), None if streamed else size)
        if name == b"fmt ":
            form = _fmt(file.read(size), path)
            file.seek(size & 1, 1)
        else:
            file.seek(size + (size & 1), 1)
    raise InputError(f"{path} is a WAV file without samples; record it again")


def _fmt(body: bytes, path: Path) -> tuple[int, int, int, int]:
    if len(body) < 16:
        raise InputError(f"{path} has a damaged WAV header; record it again")
    kind, channels, rate_hz, _, width, bits = struct.unpack("<HHIIHH", body[:16])
    if kind == EXTENSIBLE and len(body) >= 26:
        kind = struct.unpack("<H", body[24:26])[0]
    if (kind, bits) not in KINDS or not 0 < channels <= 64 or not rate_hz or width != channels * bits // 8:
        raise InputError(
            f"{path} holds audio of format {kind} with {bits} bits and {channels} channels at {rate_hz} Hz; convert it"
            " to PCM, for example: ffmpeg -i FILE -c:a pcm_s16le out.wav"
        )
    return kind, bits, channels, rate_hz


def read_samples(path: Path, form: WavFormat) -> Iterator[Array]:
    """Blocks of float32 samples, -1 to 1, the mean of all channels. Raises InputError."""
    width = form.channels * form.bits // 8
    try:
        with path.open("rb") as file:
            file.seek(form.start)
            remaining = form.size_bytes
            while remaining is None or remaining >= width:
                want = BLOCK * width if remaining is None else min(BLOCK * width, remaining // width * width)
                data = file.read(want)
                if len(data) >= width:
                    yield _floats(data[: len(data) // width * width], form)
                if len(data) < want:
                    break
                remaining = None if remaining is None else remaining - len(data)
    except OSError as error:
        raise InputError(f"audio {unreadable(path, error)}; check the path") from error


def _floats(data: bytes, form: WavFormat) -> Array:
    if form.kind == FLOAT:
        samples: Array = np.frombuffer(data, f"<f{form.bits // 8}").astype(np.float32)
    elif form.bits == 8:  # the only unsigned one
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif form.bits == 24:
        whole = np.zeros((len(data) // 3, 4), np.uint8)
        whole[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = whole.reshape(-1).view("<i4").astype(np.float32) / (1 << 31)
    else:
        samples = np.frombuffer(data, f"<i{form.bits // 8}").astype(np.float32) / float(1 << (form.bits - 1))
    return samples if form.channels == 1 else samples.reshape(-1, form.channels).mean(axis=1, dtype=np.float32)
