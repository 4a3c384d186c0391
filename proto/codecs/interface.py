"""What a codec is, what a family of codecs is, and the checks that codecs share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from partway.errors import CodecError
from partway.proto.datatypes import numpy_dtype
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
NAME = "[a-z][a-z0-9-]{0,31}"
"""Every codec's name matches this, in frames, plans and the JSON output."""
_BOOL = numpy_dtype("BOOL")


class Codec(Protocol):
    """Packs one activation or one picture. ``lossless`` codecs give back identical bits."""

    @property
    def name(self) -> str:
        """Its name on the wire."""

    @property
    def lossless(self) -> bool:
        """Whether decoding gives back identical bits."""

    def encode(self, array: Array) -> bytes:
        """Bytes of a contiguous array, without the header."""

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """Inverse of encode; the result has this dtype and shape. Raises CodecError when the bytes do not fit."""

    def packs(self, spec: TensorSpec) -> bool:
        """Whether the codec suits tensors of this description."""

    def fits(self, array: Array) -> bool:
        """Whether it can pack this array; other arrays are sent raw."""


@dataclass(frozen=True, slots=True)
class CodecFamily:
    """Codecs that differ in one number of their name. An entry of the group ``partway.codecs`` names one of these.

    ``label`` stands for the family in help texts (``qBITS``), ``pattern`` is a regular expression of all its names, and
    ``help`` says in one line what it is for. ``names`` are those that calibration measures; a pattern without special
    characters is the only name by default. ``make`` builds a codec from a name; None marks codecs that only plans
    build. ``pictures`` marks codecs of uint8 [height, width, channels] pictures, which serve at split 0. Families are
    listed and tried by ``rank``, then in the order of their entry points.

    Raises ValueError when the pattern is no regular expression or does not match a name.
    """

    label: str
    pattern: str
    help: str
    make: Callable[[str], Codec] | None
    names: tuple[str, ...] = ()
    pictures: bool = False
    rank: int = 100

    def __post_init__(self) -> None:
        if not self.names and self.make is not None and re.escape(self.pattern).replace("\\-", "-") == self.pattern:
            object.__setattr__(self, "names", (self.pattern,))
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is no regular expression: {error}") from error
        for name in self.names:
            if not self.matches(name):
                raise ValueError(f"{name!r} does not match {self.pattern!r}, or is no codec's name ({NAME})")

    def matches(self, name: str) -> bool:
        """Whether ``name`` is one of this family."""
        return re.fullmatch(NAME, name, re.ASCII) is not None and re.fullmatch(self.pattern, name, re.ASCII) is not None


def exactly(view: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """The bytes as an array of this dtype and shape, without a copy. Raises CodecError when there are more or fewer."""
    expected = dtype.itemsize
    for size in shape:
        expected *= size
    if len(view) != expected:
        raise CodecError(f"shape {list(shape)} of {dtype.name} takes {expected} bytes, {len(view)} came")
    if dtype is _BOOL:
        check_bool(view)
    return np.frombuffer(view, dtype).reshape(shape)


def check_bool(data: bytes | memoryview) -> None:
    """Raise CodecError unless every byte is 0 or 1: numpy would compute with other bytes as numbers."""
    if np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise CodecError("a BOOL tensor has a byte that is neither 0 nor 1")
