"""A TFLite model's main subgraph taken apart: tensor names, operators that matter, those that only make constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from partway.partitioner.formats.tflite.file import operator_kind, text
from partway.partitioner.formats.tflite.state import RANDOM, handles
from partway.partitioner.formats.tflite.validate import called


@dataclass(frozen=True, slots=True)
class Parts:
    """The main subgraph, analysed for the reader and the slicer.

    ``names`` are the tensors' names, made unique; ``moving`` the tensors that a frame's answer may depend on;
    ``places`` the operators that make them and that some output needs, by index in the file; ``folded`` which operator
    makes a tensor that depends on constants only; ``weights`` names each buffer that holds numbers.
    """

    model: Any
    main: Any
    names: Sequence[str]
    moving: frozenset[int]
    places: Sequence[int]
    folded: Mapping[int, int]
    weights: Mapping[int, str]

    def sources(self, at: int) -> dict[str, int]:
        """The weights an operator needs, with their bytes: its own, of operators folded into it, of its subgraphs."""
        operator = self.main.operators[at]
        buffers: dict[int, None] = {}
        for tensor in ints(operator.inputs):
            if tensor >= 0 and tensor not in self.moving:
                buffers.update(dict.fromkeys(self.buffers(tensor)))
        for target in called_deep(self.model, operator):
            buffers.update((tensor.buffer, None) for tensor in self.model.subgraphs[target].tensors or ())
        return {self.weights[one]: len(self.model.buffers[one].data) for one in buffers if one in self.weights}

    def buffers(self, tensor: int) -> Iterable[int]:
        """The buffers that a constant tensor comes from."""
        found: dict[int, None] = {}
        seen, waiting = set(), [tensor]
        while waiting:
            one = waiting.pop()
            if one in seen or one < 0:
                continue
            seen.add(one)
            found[self.main.tensors[one].buffer] = None
            if one in self.folded:
                waiting.extend(ints(self.main.operators[self.folded[one]].inputs))
        return found


def take_apart(model: Any) -> Parts:
    """The parts of a model that was checked."""
    main = model.subgraphs[0]
    names = unique_names([text(tensor.name) for tensor in main.tensors])
    moving, acting, folded = _moving_and_folded(model, main)
    return Parts(model, main, names, moving, _live(main, acting), folded, _weights(model, names))


def ints(vector: Any) -> list[int]:
    """A vector of the schema, which may be absent, as a list."""
    return [] if vector is None else [int(one) for one in vector]


def unique_names(names: Sequence[str]) -> list[str]:
    """Each tensor's own name where it is the first to have it; else, or where it has none, one made from it."""
    taken, used, found = set(names), set[str](), []
    for index, name in enumerate(names):
        own, count = name, 1
        while not own or own in used:
            own = f"{name}_{count}" if name else f"tensor_{index}" + "_" * (count - 1)
            own = "" if own in taken else own
            count += 1
        used.add(own)
        found.append(own)
    return found


def called_deep(model: Any, operator: Any) -> list[int]:
    """The subgraphs that an operator runs and those that they run, by index."""
    found: dict[int, None] = {}
    waiting = called(operator)
    while waiting:
        target = waiting.pop()
        if target not in found:
            found[target] = None
            waiting.extend(one for inner in model.subgraphs[target].operators or () for one in called(inner))
    return sorted(found)


def _moving_and_folded(model: Any, main: Any) -> tuple[frozenset[int], list[int], dict[int, int]]:
    moving, acting, folded = set(ints(main.inputs)), [], {}
    for at, operator in enumerate(main.operators):
        read = [tensor for tensor in ints(operator.inputs) if tensor >= 0]
        outputs = ints(operator.outputs)
        moves = any(tensor in moving or main.tensors[tensor].isVariable for tensor in read)
        if moves or not outputs or _acts(model, operator):
            moving.update(outputs)
            acting.append(at)
        else:
            folded.update(dict.fromkeys(outputs, at))
    return frozenset(moving), acting, folded


def _acts(model: Any, operator: Any) -> bool:
    """Whether an operator may do more than compute from its inputs."""
    if operator_kind(model, operator) in RANDOM or model.operatorCodes[operator.opcodeIndex].customCode:
        return True
    return bool(called(operator)) or any(True for _ in handles(model, operator))


def _live(main: Any, acting: Sequence[int]) -> list[int]:
    """The operators that an output needs, and those that may act on something else (``ASSIGN_VARIABLE``, bodies)."""
    needed = set(ints(main.outputs))
    found = []
    for at in reversed(acting):
        operator = main.operators[at]
        outputs = ints(operator.outputs)
        if not outputs or called(operator) or needed.intersection(outputs):
            found.append(at)
            needed.update(ints(operator.inputs))
    return found[::-1]


def _weights(model: Any, names: Sequence[str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for index, graph in enumerate(model.subgraphs):
        for place, tensor in enumerate(graph.tensors or ()):
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data):
                found.setdefault(tensor.buffer, f"{text(tensor.name)} of subgraph {index}" if index else names[place])
    return found
