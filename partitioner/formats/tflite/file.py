"""A TFLite file opened: its flatbuffer checked and unpacked into the schema's own object classes.

The classes come with ``ai_edge_litert`` (``schema_py_generated``); neither TensorFlow nor the interpreter is loaded.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from partway.engines.litert.bounds import NotFlatbufferError, check_bounds
from partway.errors import InputError

try:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
except ImportError as missing:
    raise InputError(
        "reading TFLite models needs the ai-edge-litert package: pip install 'partway[partition,litert]'"
    ) from missing

__all__ = ["TfliteFile", "flatbuffers", "open_tflite_file", "operator_kind", "options_of", "schema", "text"]

VERSION, IDENTIFIER = 3, b"TFL3"
UNPACKING = (struct.error, ValueError, IndexError, TypeError, OverflowError, AttributeError, KeyError, MemoryError)
"""Errors of the generated classes on bad offsets inside operator options."""
KINDS: dict[int, str] = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """A model's path, its ``ModelT`` (weights are views of the file's bytes) and the SHA-256 of the file."""

    path: Path
    model: Any
    digest: str


def open_tflite_file(path: Path) -> TfliteFile:
    """Read a ``.tflite`` file. Raises :class:`InputError` when it is missing, cut short, damaged or of another version.

    :mod:`~partway.partitioner.formats.tflite.validate` checks the relations of its parts.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the model {path}: {error.strerror}") from error
    if data[4:8] != IDENTIFIER:
        raise InputError(f"{path} is not a TFLite model: it lacks the mark TFL3; give a .tflite file")
    try:
        check_bounds(memoryview(data))
        _check_version(path, schema.Model.GetRootAs(data, 0).Version())
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        _check_size(model, len(data))
        _fetch_appended(model, data)
    except NotFlatbufferError as error:
        raise InputError(f"{path} is cut short or damaged: {error}; download or convert it again") from error
    except UNPACKING as error:
        raise InputError(f"{path} is damaged: an operator's options cannot be read; convert it again") from error
    return TfliteFile(path, model, hashlib.sha256(data).hexdigest())


def _check_version(path: Path, version: int) -> None:
    if version != VERSION:
        raise InputError(f"{path} has schema version {version}; Partway reads version {VERSION}: convert it again")


def options_of(operator: Any) -> Iterator[Any]:
    """The option tables of an operator, at most two."""
    yield from (one for one in (operator.builtinOptions, operator.builtinOptions2) if one is not None)


def operator_kind(model: Any, operator: Any) -> str:
    """``CONV_2D`` and so on; for a custom operator the name that its kernel is registered under."""
    code = model.operatorCodes[operator.opcodeIndex]
    number = builtin_code(code)
    return text(code.customCode) or "CUSTOM" if number == schema.BuiltinOperator.CUSTOM else KINDS[number]


def builtin_code(code: Any) -> int:
    """The number of an operator's kind: an old field holds those under 127, a newer one all."""
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def text(raw: bytes | str | None) -> str:
    """A name as text; bytes that are no UTF-8 are shown by their numbers."""
    return raw if isinstance(raw, str) else (raw or b"").decode("utf-8", "backslashreplace")


def _check_size(model: Any, size_bytes: int) -> None:
    """Refuse options that share one list a thousand times, since stages would contain a thousand copies."""
    allowance_bytes = 4 * size_bytes + 65536
    for graph in model.subgraphs or ():
        for operator in graph.operators or ():
            for options in options_of(operator):
                allowance_bytes -= sum(
                    value.nbytes for value in vars(options).values() if isinstance(value, np.ndarray)
                )
    if allowance_bytes < 0:
        raise NotFlatbufferError("its operators share their options again and again")


def _fetch_appended(model: Any, data: bytes) -> None:
    """Read weights and options stored after the flatbuffer, as in models over 2 GB, into the tables."""
    for buffer in model.buffers or ():
        if buffer.offset > 1 or buffer.size > 1:
            buffer.data = _appended(data, buffer.offset, buffer.size)
        buffer.offset = buffer.size = 0
    for graph in model.subgraphs or ():
        for operator in graph.operators or ():
            if operator.largeCustomOptionsOffset > 1 or operator.largeCustomOptionsSize > 1:
                operator.customOptions = _appended(
                    data, operator.largeCustomOptionsOffset, operator.largeCustomOptionsSize
                )
            operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0


def _appended(data: bytes, offset: int, size: int) -> np.ndarray[Any, Any]:
    if offset + size > len(data):
        raise NotFlatbufferError(f"it ends before byte {offset + size}, where weights should be")
    return np.frombuffer(data, np.uint8, size, offset)
