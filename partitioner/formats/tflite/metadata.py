"""What the metadata of a TFLite file says: normalisation, colours, and the files packed behind the model.

The metadata is a flatbuffer of its own (TensorFlow Lite Support, metadata_schema.fbs 1.5) in a buffer of the model;
field numbers are those of the schema. Its files are a zip archive at the end of the model file.
"""

from __future__ import annotations

import json
import struct
import zipfile
from ast import literal_eval
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from partway.partitioner.formats.tflite.file import UNPACKING, TfliteFile, flatbuffers, text
from partway.partitioner.formats.ultralytics import is_ultralytics, ultralytics_facts
from partway.partitioner.plan.model_file.model_format import NO_FACTS, Facts

METADATA_NAME, IDENTIFIER = "TFLITE_METADATA", b"M001"
MODEL_SUBGRAPHS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_FILES, MODEL_FILES = 3, 2, 3, 4, 6
TENSOR_CONTENT, TENSOR_UNITS, TENSOR_FILES = 3, 4, 6
FILE_NAME, FILE_TYPE, LABELS = 0, 2, (2, 3)
CONTENT_TYPE, CONTENT, IMAGE, COLOUR_SPACE = 0, 1, 2, 0
UNIT_TYPE, UNIT, NORMALISATION, MEAN, STD = 0, 1, 1, 0, 1
COLOURS = {1: "RGB"}
EXPORTED = ("metadata.json", "temp_meta.txt")
"""Files of Ultralytics' exporter."""
MOST_ENTRIES, MOST_BYTES = 64, 4_000_000


def facts_of(file: TfliteFile) -> Facts:
    """The facts in a file's metadata; none if it says nothing known, or cannot be read."""
    packed = _packed_files(file.path)
    for name in EXPORTED:
        if name in packed and is_ultralytics(entries := _entries(packed[name])):
            return ultralytics_facts(entries)
    try:
        return _facts(_metadata(file), packed)
    except UNPACKING:
        return NO_FACTS


def _facts(metadata: bytes, packed: Mapping[str, str]) -> Facts:
    if metadata[4:8] != IDENTIFIER:
        return NO_FACTS
    model = Table(metadata, int.from_bytes(metadata[:4], "little"))
    main = next(model.tables(MODEL_SUBGRAPHS), None)
    if main is None:
        return NO_FACTS
    inputs, outputs = list(main.tables(SUBGRAPH_INPUTS)), list(main.tables(SUBGRAPH_OUTPUTS))
    files = [one for tensor in outputs for one in tensor.tables(TENSOR_FILES)]
    files += [*main.tables(SUBGRAPH_FILES), *model.tables(MODEL_FILES)]
    names = [one.text(FILE_NAME) for one in files if one.number(FILE_TYPE) in LABELS]
    labels = next((packed[name] for name in names if name in packed), "")
    return Facts(_pictures(inputs[0]) if len(inputs) == 1 else {}, tuple(labels.splitlines()))


def _pictures(tensor: Table) -> dict[str, Any]:
    found: dict[str, Any] = {}
    content = tensor.table(TENSOR_CONTENT)
    if content is not None and content.number(CONTENT_TYPE) == IMAGE:
        image = content.table(CONTENT)
        order = COLOURS.get(image.number(COLOUR_SPACE)) if image else None
        found |= {"order": order} if order else {}
    for unit in tensor.tables(TENSOR_UNITS):
        options = unit.table(UNIT)
        if unit.number(UNIT_TYPE) == NORMALISATION and options is not None:
            mean, std = options.floats(MEAN), options.floats(STD)
            if mean and std and 0 not in std and {len(mean), len(std)} <= {1, 3}:
                found |= {"scale": 1.0, "mean": mean, "std": std}
    return found


def _metadata(file: TfliteFile) -> bytes:
    buffers = file.model.buffers or ()
    for entry in file.model.metadata or ():
        if text(entry.name) == METADATA_NAME and 0 <= entry.buffer < len(buffers):
            data = buffers[entry.buffer].data
            return b"" if data is None else bytes(data)
    return b""


def _packed_files(path: Path) -> dict[str, str]:
    """The text files in the zip archive at the file's end; none if there is no archive."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist()[:MOST_ENTRIES]:
                if info.file_size <= MOST_BYTES:
                    found[info.filename] = archive.read(info).decode("utf-8-sig")
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError, NotImplementedError, RuntimeError, ValueError, EOFError):
        return found
    return found


def _entries(content: str) -> dict[str, str]:
    """The entries of an exporter's file, JSON or Python text, as text by key."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        data = _literal(content)
    if not isinstance(data, dict):
        return {}
    names = data.get("names")
    if isinstance(names, dict) and all(str(key).isdecimal() for key in names):  # JSON has text for keys
        data["names"] = {int(key): name for key, name in names.items()}
    return {str(key): value if isinstance(value, str) else repr(value) for key, value in data.items()}


def _literal(content: str) -> Any:
    """Python text as a value, never run; None if it is no literal."""
    try:
        return literal_eval(content)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


class Table:
    """A table of a flatbuffer, its fields by number. Raises one of UNPACKING on bad offsets."""

    def __init__(self, data: bytes, position: int) -> None:
        self._table = flatbuffers.table.Table(data, position)

    def _offset(self, field: int) -> int:
        """Where a field's value lies in the table; 0 if it is absent."""
        return int(self._table.Offset(4 + 2 * field))

    def table(self, field: int) -> Table | None:
        """The table, or member of a union, in a field."""
        offset = self._offset(field)
        return Table(self._table.Bytes, self._table.Indirect(offset + self._table.Pos)) if offset else None

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of a vector, at most MOST_ENTRIES."""
        offset = self._offset(field)
        count = min(self._table.VectorLen(offset), MOST_ENTRIES) if offset else 0
        for place in range(count):
            yield Table(self._table.Bytes, self._table.Indirect(self._table.Vector(offset) + 4 * place))

    def number(self, field: int) -> int:
        """A byte; 0 if it is absent."""
        offset = self._offset(field)
        return int(self._table.Bytes[offset + self._table.Pos]) if offset else 0

    def text(self, field: int) -> str:
        """A string; empty if it is absent."""
        offset = self._offset(field)
        return bytes(self._table.String(offset + self._table.Pos)).decode("utf-8", "replace") if offset else ""

    def floats(self, field: int) -> tuple[float, ...]:
        """A vector of floats, at most MOST_ENTRIES."""
        offset = self._offset(field)
        count = min(self._table.VectorLen(offset), MOST_ENTRIES) if offset else 0
        return struct.unpack_from(f"<{count}f", self._table.Bytes, self._table.Vector(offset)) if count else ()
