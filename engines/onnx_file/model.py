"""A whole ONNX file as plain values: operators with their attributes, constants, inputs, outputs, local functions.

For an engine that runs the operators itself. :mod:`~partway.engines.onnx_file.graph` is a lighter reader, without
attributes and weights. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from partway.engines.onnx_file.external_data import external_tensors, weights
from partway.engines.onnx_file.values import (
    Constant,
    Value,
    floats,
    read_constant,
    read_value,
    reading,
    text,
    varints,
)
from partway.errors import InputError
from partway.proto.protowire import FileBytes, fields, read_varint

DEEPEST = 16
"""The deepest nesting of control-flow bodies that is read."""


@dataclass(frozen=True, slots=True)
class AttributeReference:
    """An attribute of a local function's operator that takes its value from the function's attribute ``name``."""

    name: str


@dataclass(frozen=True, slots=True)
class OnnxOperator:
    """A node. Inputs and outputs keep their places; an empty name means left out."""

    name: str
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def called(self) -> str:
        """The operator's kind and name, for messages."""
        return f"{self.kind} ({self.name or ', '.join(filter(None, self.outputs)) or 'without a name'})"


@dataclass(frozen=True, slots=True)
class Body:
    """A graph: the model's, or an attribute's."""

    operators: tuple[OnnxOperator, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    constants: Mapping[str, Constant]


@dataclass(frozen=True, slots=True)
class Function:
    """A model-local function; ``defaults`` are the attributes that may be left out."""

    operators: tuple[OnnxOperator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A file. ``opsets`` has the version of each domain, the standard one as the empty text."""

    body: Body
    opsets: Mapping[str, int]
    functions: Mapping[tuple[str, str], Function]


def read_model(stage: FileBytes, file: str | None = None, data: FileBytes | None = None) -> OnnxFile:
    """The model in the bytes of its file; its external weights, if any, are views of ``data``, the bytes of ``file``.

    Raises InputError when the bytes are no ONNX model, or refer to any other file.
    """
    with reading("the stage is no ONNX model, or cut short"):
        outside = _outside(stage, file, data)
        body: Body | None = None
        opsets: dict[str, int] = {}
        functions: dict[tuple[str, str], Function] = {}
        for number, _, _, at, end in fields(stage, 0, len(stage)):
            if number == 7:
                body = _Reader(stage, frozenset(outside)).body(at, end)
            elif number == 8:
                domain, version = _opset(stage, at, end)
                opsets[_domain(domain)] = version
            elif number == 25:
                key, function = _Reader(stage).function(at, end)
                functions[key] = function
    if body is None:
        raise InputError("the stage is no ONNX model: it has no graph")
    return OnnxFile(replace(body, constants={**body.constants, **outside}), opsets, functions)


def _outside(stage: FileBytes, file: str | None, data: FileBytes | None) -> dict[str, Constant]:
    tensors = external_tensors(stage)
    if not tensors:
        return {}
    if file is None or data is None:
        raise InputError(
            "the stage keeps weights in a file that its plan does not name; refused, slice the model again"
        )
    return {name: Constant(array, kind) for name, (array, kind) in weights(tensors, file, data).items()}


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _opset(data: FileBytes, begin: int, stop: int) -> tuple[str, int]:
    domain, version = "", 1
    for number, _, _, at, end in fields(data, begin, stop):
        if number == 1:
            domain = text(data, at, end)
        elif number == 2:
            version = read_varint(data, at, end)[0]
    return domain, version


class _Reader:
    """Bodies of one file; ``outside`` names the constants that lie in another file."""

    def __init__(self, data: FileBytes, outside: frozenset[str] = frozenset(), depth: int = 0) -> None:
        if depth > DEEPEST:
            raise InputError("the stage's control flow is nested too deeply")
        self.data, self.outside, self.depth = data, outside, depth

    def body(self, begin: int, stop: int) -> Body:
        data = self.data
        operators: list[OnnxOperator] = []
        inputs: list[Value] = []
        outputs: list[Value] = []
        constants: dict[str, Constant] = {}
        for number, _, _, at, end in fields(data, begin, stop):
            if number == 1:
                operators.append(self.operator(at, end))
            elif number == 5:
                if self.outside and _tensor_name(data, at, end) in self.outside:
                    continue
                name, constant = read_constant(data, at, end)
                constants[name] = constant
            elif number == 11:
                inputs.append(read_value(data, at, end))
            elif number == 12:
                outputs.append(read_value(data, at, end))
            elif number == 15:
                raise InputError("the stage has sparse weights, which only the engine onnx runs")
        fixed = {*constants, *self.outside}
        return Body(tuple(operators), tuple(v for v in inputs if v.name not in fixed), tuple(outputs), constants)

    def operator(self, begin: int, stop: int) -> OnnxOperator:
        data = self.data
        texts = {3: "", 4: "", 7: ""}
        inputs: list[str] = []
        outputs: list[str] = []
        attributes: dict[str, Any] = {}
        for number, _, _, at, end in fields(data, begin, stop):
            if number == 1:
                inputs.append(text(data, at, end))
            elif number == 2:
                outputs.append(text(data, at, end))
            elif number in texts:
                texts[number] = text(data, at, end)
            elif number == 5:
                name, value = self.attribute(at, end)
                attributes[name] = value
        return OnnxOperator(texts[3], texts[4], _domain(texts[7]), tuple(inputs), tuple(outputs), attributes)

    def attribute(self, begin: int, stop: int) -> tuple[str, Any]:
        data = self.data
        name, kind = "", 0
        lists: dict[int, list[Any]] = {}
        reference = ""
        for number, _, _, at, end in fields(data, begin, stop):
            if number == 1:
                name = text(data, at, end)
            elif number == 20:
                kind = read_varint(data, at, end)[0]
            elif number == 21:
                reference = text(data, at, end)
            elif number in _ATTRIBUTE:
                lists.setdefault(number, []).extend(self._contents(number, at, end))
        if reference:
            return name, AttributeReference(reference)
        place = _PLACE.get(kind)
        if place is None:
            place = next(iter(lists), 0)
        found = lists.get(place, [])
        if place in _LISTS:
            return name, tuple(found)
        return name, found[-1] if found else _EMPTY.get(place)

    def _contents(self, number: int, at: int, end: int) -> list[Any]:
        match _ATTRIBUTE[number]:
            case "float":
                return floats(self.data, at, end)
            case "int":
                return varints(self.data, at, end)
            case "text":
                return [text(self.data, at, end)]
            case "tensor":
                return [read_constant(self.data, at, end)[1]]
            case _:
                return [_Reader(self.data, depth=self.depth + 1).body(at, end)]

    def function(self, begin: int, stop: int) -> tuple[tuple[str, str], Function]:
        data = self.data
        name = domain = ""
        names: dict[int, list[str]] = {4: [], 5: []}
        operators: list[OnnxOperator] = []
        defaults: dict[str, Any] = {}
        for number, _, _, at, end in fields(data, begin, stop):
            if number == 1:
                name = text(data, at, end)
            elif number == 10:
                domain = _domain(text(data, at, end))
            elif number in names:
                names[number].append(text(data, at, end))
            elif number == 7:
                operators.append(self.operator(at, end))
            elif number == 11:
                key, value = self.attribute(at, end)
                defaults[key] = value
        return (domain, name), Function(tuple(operators), tuple(names[4]), tuple(names[5]), defaults)


_ATTRIBUTE = {
    2: "float", 3: "int", 4: "text", 5: "tensor", 6: "graph",
    7: "float", 8: "int", 9: "text", 10: "tensor", 11: "graph",
}  # fmt: skip
_LISTS = frozenset(range(7, 12))
_PLACE = {1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 9, 9: 10, 10: 11}
"""Which field holds the value, by AttributeProto's type."""
_EMPTY: dict[int, Any] = {2: 0.0, 3: 0, 4: ""}
"""The value of an attribute whose field is left out."""


def _tensor_name(data: FileBytes, begin: int, stop: int) -> str:
    return next((text(data, at, end) for number, _, _, at, end in fields(data, begin, stop) if number == 8), "")
