"""Check that every offset in a TFLite flatbuffer stays inside the file, before an interpreter gets it or we follow one.

The flatbuffers package for Python trusts its input (there is no Verifier as in C++), so a damaged file could make it
read backwards, or read one table a million times. Field numbers are those of TensorFlow Lite's schema.fbs, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from partway.errors import InputError

_U16, _I32, _U32 = (struct.Struct(code) for code in ("<H", "<i", "<I"))
LEAST_WORK: Final = 1 << 16
OFTEN: Final = 4
IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of every TFLite file since schema version 3."""


class NotFlatbufferError(Exception):
    """The bytes are not a flatbuffer of the TFLite schema; the message names the first fault."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number of ``width`` bytes inside the table."""

    width: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """A vector of numbers of ``width`` bytes each; text is one of bytes. ``free``: never read element by element."""

    width: int
    free: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table, or with ``many`` a vector of tables, of the type ``name``; no name: a table not looked into."""

    name: str = ""
    many: bool = False


Field = Scalar | Numbers | Table
TEXT, INTS, WORD, LONG, BYTE = Numbers(1), Numbers(4), Scalar(4), Scalar(8), Scalar(1)
OPAQUE = Table()
TABLES: Mapping[str, tuple[Field, ...]] = {
    "Model": (
        WORD, Table("OperatorCode", many=True), Table("SubGraph", many=True), TEXT, Table("Buffer", many=True), INTS,
        Table("Metadata", many=True), Table("SignatureDef", many=True), Table("", many=True), Table("", many=True),
    ),
    "OperatorCode": (BYTE, TEXT, WORD, WORD),
    "SubGraph": (Table("Tensor", many=True), INTS, INTS, Table("Operator", many=True), TEXT, WORD),
    "Tensor": (
        INTS, BYTE, WORD, TEXT, Table("Quantization"), BYTE, Table("Sparsity"), INTS, BYTE,
        Table("Variant", many=True), WORD,
    ),
    "Quantization": (Numbers(4), Numbers(4), Numbers(4), Numbers(8), BYTE, OPAQUE, WORD),
    "Sparsity": (INTS, INTS, Table("Dimension", many=True)),
    "Dimension": (BYTE, WORD, BYTE, OPAQUE, BYTE, OPAQUE),
    "Variant": (INTS, BYTE, BYTE),
    "Operator": (
        WORD, INTS, INTS, BYTE, OPAQUE, TEXT, BYTE, Numbers(1), INTS, LONG, LONG, BYTE, OPAQUE, WORD,
    ),
    "Buffer": (Numbers(1, free=True), LONG, LONG),
    "Metadata": (TEXT, WORD),
    "SignatureDef": (Table("TensorMap", many=True), Table("TensorMap", many=True), TEXT, Scalar(0), WORD),
    "TensorMap": (TEXT, WORD),
    "": (),
}  # fmt: skip


def check_tflite(stage: bytes) -> None:
    """Raise InputError unless the bytes are a TFLite flatbuffer with every offset inside it."""
    if stage[4:8] != IDENTIFIER:
        raise InputError("LiteRT cannot load this stage: it is no TFLite file (bytes 4 to 7 are not TFL3)")
    try:
        check_bounds(memoryview(stage))
    except NotFlatbufferError as error:
        raise InputError(f"LiteRT cannot load this stage, it is damaged: {error}; fetch or slice it again") from error


def check_bounds(data: memoryview) -> None:
    """Raise :class:`NotFlatbufferError` unless every table, vector and text of the model lies inside ``data``.

    Tables that are used again and again count each time: one whose reading would take out of proportion to the
    file's size is refused as well.
    """
    _Walk(data).table(_read(_U32, data, 0), "Model")


def _read(number: struct.Struct, data: memoryview, at: int) -> int:
    if not 0 <= at <= len(data) - number.size:
        raise NotFlatbufferError(f"it ends before byte {at + number.size}, where more should be")
    return int(number.unpack_from(data, at)[0])


class _Walk:
    """One pass over a flatbuffer with a budget of bytes that reading it may touch."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.budget_bytes = OFTEN * len(data) + LEAST_WORK

    def table(self, at: int, name: str) -> None:
        """Check the table at byte ``at`` and everything it refers to."""
        table = at - _read(_I32, self.data, at)
        length, size = _read(_U16, self.data, table), _read(_U16, self.data, table + 2)
        if length < 4 or length % 2 or table + length > len(self.data) or at + size > len(self.data):
            raise NotFlatbufferError(f"the table at byte {at} reaches past the end")
        self._spend(8 + length)
        fields = TABLES[name]
        for slot in range((length - 4) // 2):
            offset = _read(_U16, self.data, table + 4 + 2 * slot)
            if not offset:
                continue
            field = fields[slot] if slot < len(fields) else None
            width = field.width if isinstance(field, Scalar) else 4 if field else 0
            if offset < 4 or offset + width > size:
                raise NotFlatbufferError(f"a field of the table at byte {at} lies outside it")
            if field is not None:
                self._field(at + offset, field)

    def _field(self, at: int, field: Field) -> None:
        if isinstance(field, Scalar):
            return
        target = at + _read(_U32, self.data, at)
        if isinstance(field, Table) and not field.many:
            self.table(target, field.name)
            return
        count = _read(_U32, self.data, target)
        width = field.width if isinstance(field, Numbers) else 4
        if target + 4 + count * width > len(self.data):
            raise NotFlatbufferError(f"the list at byte {target} reaches past the end")
        self._spend(4 if isinstance(field, Numbers) and field.free else 4 + count * width)
        if isinstance(field, Table):
            for place in range(target + 4, target + 4 + 4 * count, 4):
                self.table(place + _read(_U32, self.data, place), field.name)

    def _spend(self, size_bytes: int) -> None:
        self.budget_bytes -= size_bytes
        if self.budget_bytes < 0:
            raise NotFlatbufferError("its parts refer to each other again and again")
