"""An ONNX file's operators, read from its bytes without the onnx package, which devices lack.

Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from partway.engines.onnx_file.values import reading
from partway.errors import InputError
from partway.proto.protowire import FileBytes, fields, varint

GRAPH = 7
NODE, INITIALIZER, SPARSE_INITIALIZER, INPUT, OUTPUT = 1, 5, 15, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_KIND, NODE_ATTRIBUTE = 1, 2, 3, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_TEXT, ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 1, 4, 6, 11
TENSOR_NAME, SPARSE_VALUES, VALUE_NAME = 8, 1, 1
NUMBER = re.compile(r"@([0-9]+)@")
"""The name that :func:`numbered` gives to an operator; optimisers keep it in the names they derive from it."""


@dataclass(frozen=True, slots=True)
class Node:
    """An operator. ``inputs`` has what control-flow bodies capture from outside as well.

    ``activation`` is the kind of the operator after it that ONNX Runtime made part of it; empty when there is none.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    activation: str = ""


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """The operators in file order, the values that come from outside, and the constants."""

    nodes: tuple[Node, ...]
    inputs: frozenset[str]
    outputs: tuple[str, ...]
    constants: frozenset[str]


def read_graph(model: FileBytes) -> OnnxGraph:
    """The outermost graph of an ONNX file. Raises InputError when the bytes are not an ONNX model."""
    with reading("the stage is no ONNX model"):
        for number, _, _, begin, stop in fields(model, 0, len(model)):
            if number == GRAPH:
                return _graph(model, begin, stop)
    raise InputError("the stage is no ONNX model: it has no graph")


def numbered(model: bytes) -> bytes:
    """The same file with its n-th outermost operator named ``@n@``, so that every one has a name of its own."""
    parts: list[bytes] = []
    with reading("the stage is no ONNX model"):
        for number, _, tag, begin, stop in fields(model, 0, len(model)):
            if number == GRAPH:
                parts += _field(GRAPH, _numbered_graph(model, begin, stop))
            else:
                parts.append(model[tag:stop])
    return b"".join(parts)


def _numbered_graph(model: bytes, begin: int, stop: int) -> list[bytes]:
    parts: list[bytes] = []
    copied, count = begin, 0
    for number, _, tag, at, end in fields(model, begin, stop):
        if number == NODE:  # of a field given twice, the last counts
            name = _field(NODE_NAME, [f"@{count}@".encode()])
            parts += [model[copied:tag], *_field(NODE, [model[at:end], *name])]
            copied, count = end, count + 1
    return [*parts, model[copied:stop]]


def _field(number: int, contents: list[bytes]) -> list[bytes]:
    return [varint(number << 3 | 2), varint(sum(map(len, contents))), *contents]


def _graph(data: FileBytes, begin: int, stop: int) -> OnnxGraph:
    nodes: list[Node] = []
    declared: list[str] = []
    outputs: list[str] = []
    constants: set[str] = set()
    for number, _, _, at, end in fields(data, begin, stop):
        if number == NODE:
            nodes.append(_node(data, at, end))
        elif number == INPUT:
            declared += _texts(data, at, end, VALUE_NAME)
        elif number == OUTPUT:
            outputs += _texts(data, at, end, VALUE_NAME)
        elif number == INITIALIZER:
            constants.update(_texts(data, at, end, TENSOR_NAME))
        elif number == SPARSE_INITIALIZER:
            for inner, _, _, values, values_end in fields(data, at, end):
                if inner == SPARSE_VALUES:
                    constants.update(_texts(data, values, values_end, TENSOR_NAME))
    return OnnxGraph(tuple(nodes), frozenset(declared) - constants, tuple(outputs), frozenset(constants))


def _node(data: FileBytes, begin: int, stop: int) -> Node:
    name = kind = activation = ""
    inputs: list[str] = []
    outputs: list[str] = []
    for number, _, _, at, end in fields(data, begin, stop):
        if number == NODE_INPUT:
            inputs.append(_text(data, at, end))
        elif number == NODE_OUTPUT:
            outputs.append(_text(data, at, end))
        elif number == NODE_NAME:
            name = _text(data, at, end)
        elif number == NODE_KIND:
            kind = _text(data, at, end)
        elif number == NODE_ATTRIBUTE:
            inputs += _captured(data, at, end)
            if _texts(data, at, end, ATTRIBUTE_NAME) == ["activation"]:
                activation = "".join(_texts(data, at, end, ATTRIBUTE_TEXT))
    return Node(name, kind, tuple(dict.fromkeys(filter(None, inputs))), tuple(filter(None, outputs)), activation)


def _captured(data: FileBytes, begin: int, stop: int) -> Iterator[str]:
    """The outer values that the control-flow bodies of an attribute read."""
    for number, _, _, at, end in fields(data, begin, stop):
        if number not in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
            continue
        body = _graph(data, at, end)
        inside = {*body.inputs, *body.constants, *(name for node in body.nodes for name in node.outputs)}
        read = (*(name for node in body.nodes for name in node.inputs), *body.outputs)
        yield from (name for name in read if name not in inside)


def _texts(data: FileBytes, begin: int, stop: int, field: int) -> list[str]:
    return [_text(data, at, end) for number, _, _, at, end in fields(data, begin, stop) if number == field]


def _text(data: FileBytes, begin: int, stop: int) -> str:
    return bytes(data[begin:stop]).decode(errors="replace")
