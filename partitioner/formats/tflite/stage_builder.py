"""Copy some operators of a TFLite model into a model of their own, everything they refer to numbered anew."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from partway.partitioner.formats.tflite.file import schema, text
from partway.partitioner.formats.tflite.subgraph import Parts, called_deep, ints
from partway.partitioner.formats.tflite.validate import BLOCKWISE, subgraph_fields

PART_METADATA = ("min_runtime_version", "reduced_precision_support")
"""Metadata that also holds for a part of a model: the oldest interpreter that runs it, whether float16 suffices."""


def stage_model(parts: Parts, places: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    """A ``ModelT`` of the operators at ``places``, with those tensors as its inputs and outputs."""
    return _Copy(parts).model(places, inputs, outputs)


class _Copy:
    """One stage under construction: the copied parts, by their old numbers."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.source = parts.model
        self.buffers: dict[int, int] = {}
        self.codes: dict[int, int] = {}
        self.subgraphs: dict[int, int] = {}

    def model(self, places: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        operators = self._with_folded(places, outputs)
        bodies = {target for operator in operators for target in called_deep(self.source, operator)}
        self.subgraphs = {old: new for new, old in enumerate((0, *sorted(bodies)))}
        stage = schema.ModelT()
        stage.version, stage.description = self.source.version, self.source.description
        main = self._graph(self.parts.main, operators, inputs, outputs, self.parts.names)
        stage.subgraphs = [main, *(self._body(index) for index in sorted(bodies))]
        stage.metadata = self._metadata()
        stage.operatorCodes = [self.source.operatorCodes[old] for old in self.codes]
        stage.buffers = [schema.BufferT(), *(self.source.buffers[old] for old in self.buffers)]
        return stage

    def _with_folded(self, places: Sequence[int], outputs: Sequence[int]) -> list[Any]:
        """The operators of a stage in the model's order, those that make constants for them among them."""
        found = set(places)
        operators, folded = self.parts.main.operators, self.parts.folded
        waiting = [*outputs, *(tensor for at in places for tensor in ints(operators[at].inputs))]
        while waiting:
            at = folded.get(waiting.pop())
            if at is not None and at not in found:
                found.add(at)
                waiting.extend(ints(operators[at].inputs))
        return [operators[at] for at in sorted(found)]

    def _body(self, index: int) -> Any:
        graph = self.source.subgraphs[index]
        names = [text(tensor.name) for tensor in graph.tensors or ()]
        return self._graph(graph, graph.operators or (), ints(graph.inputs), ints(graph.outputs), names)

    def _graph(
        self, graph: Any, operators: Sequence[Any], inputs: Sequence[int], outputs: Sequence[int], names: Sequence[str]
    ) -> Any:
        used = _tensors_of(graph, operators, [*inputs, *outputs])
        number = {old: new for new, old in enumerate(used)}
        copied = copy.copy(graph)
        copied.tensors = [self._tensor(graph.tensors[old], names[old], number) for old in used]
        copied.operators = [self._operator(operator, number) for operator in operators]
        copied.inputs, copied.outputs = _numbered(inputs, number), _numbered(outputs, number)
        copied.debugMetadataIndex = -1
        return copied

    def _tensor(self, tensor: Any, name: str, number: Mapping[int, int]) -> Any:
        copied = copy.copy(tensor)
        copied.name = name
        copied.buffer = self._buffer(tensor.buffer)
        if tensor.quantization is not None and len(ints(tensor.shape)) == 1 and tensor.quantization.quantizedDimension:
            copied.quantization = copy.copy(tensor.quantization)  # older interpreters ignore it, newer ones refuse it
            copied.quantization.quantizedDimension = 0
        details = getattr(tensor.quantization, "details", None)
        if any(getattr(details, field, -1) >= 0 for field in BLOCKWISE):
            copied.quantization = copy.copy(copied.quantization)
            copied.quantization.details = _renumbered(details, BLOCKWISE, lambda old: number.get(old, -1))
        return copied

    def _buffer(self, old: int) -> int:
        data = self.source.buffers[old].data
        if old == 0 or data is None:
            return 0
        return self.buffers.setdefault(old, len(self.buffers) + 1)

    def _operator(self, operator: Any, number: Mapping[int, int]) -> Any:
        copied = copy.copy(operator)
        copied.opcodeIndex = self.codes.setdefault(operator.opcodeIndex, len(self.codes))
        for field in ("inputs", "outputs", "intermediates"):
            vector = getattr(operator, field)
            setattr(copied, field, None if vector is None else _numbered(ints(vector), number))
        for field in ("builtinOptions", "builtinOptions2"):
            options = getattr(operator, field)
            if options is not None:
                names = [name for name, _ in subgraph_fields(options)]
                setattr(copied, field, _renumbered(options, names, lambda old: self.subgraphs.get(old, old)))
        copied.debugMetadataIndex = -1
        return copied

    def _metadata(self) -> list[Any] | None:
        found = []
        for entry in self.source.metadata or ():
            if text(entry.name) in PART_METADATA:
                copied = copy.copy(entry)
                copied.buffer = self._buffer(entry.buffer)
                found.append(copied)
        return found or None


def _numbered(old: Sequence[int], number: Mapping[int, int]) -> np.ndarray[Any, Any]:
    return np.array([number[one] if one >= 0 else one for one in old], np.int32)


def _renumbered(table: Any, fields: Sequence[str], new: Callable[[int], int]) -> Any:
    copied = copy.copy(table)
    for field in fields:
        value = getattr(table, field, None)
        if isinstance(value, np.ndarray):
            setattr(copied, field, np.array([new(int(one)) for one in value], value.dtype))
        elif value is not None:
            setattr(copied, field, new(int(value)))
    return copied


def _tensors_of(graph: Any, operators: Sequence[Any], also: Sequence[int]) -> list[int]:
    """The tensors that some operators touch, and those that hold these tensors' block-wise scales, in order."""
    found = set(also)
    for operator in operators:
        for vector in (operator.inputs, operator.outputs, operator.intermediates):
            found.update(ints(vector))
    waiting = list(found)
    while waiting:
        tensor = waiting.pop()
        details = getattr(graph.tensors[tensor].quantization, "details", None) if tensor >= 0 else None
        new = {getattr(details, field, -1) for field in BLOCKWISE} - found
        found |= new
        waiting.extend(new)
    return sorted(tensor for tensor in found if tensor >= 0)
