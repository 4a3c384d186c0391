"""Read a ``.tflite`` file into a :class:`Graph` of its main subgraph; other subgraphs stay inside their operators."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.partitioner.formats.tflite.element_types import NUMPY
from partway.partitioner.formats.tflite.file import TfliteFile, open_tflite_file, operator_kind, options_of, text
from partway.partitioner.formats.tflite.flops import multiply_adds
from partway.partitioner.formats.tflite.state import state_users
from partway.partitioner.formats.tflite.subgraph import Parts, ints, take_apart
from partway.partitioner.formats.tflite.validate import called, check_model
from partway.partitioner.formats.tflite.variables import with_explicit_variables
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.plan.model_file.model_format import Sizes
from partway.partitioner.plan.state import StateLink
from partway.proto.tensors import Quantization, TensorSpec

log = logging.getLogger("partway.partitioner")
DATA_DEPENDENT = frozenset({"WHERE", "UNIQUE"})


@dataclass(frozen=True, slots=True)
class ParsedTfliteModel:
    """A TFLite model read for slicing; the graph's operators are those at ``parts.places``, in this order.

    ``state``: what was a resource variable and is an output and an input of the model now.
    """

    file: TfliteFile
    graph: Graph
    parts: Parts
    state: tuple[StateLink, ...] = ()


def open_tflite(path: Path, sizes: Sizes | None = None) -> ParsedTfliteModel:
    """The model with its graph and what the slicer needs to write stages.

    ``sizes`` may say what the inputs' fixed shapes are, but not change them.
    Raises :class:`InputError`, one sentence each, for whatever is wrong with the file.
    """
    file = open_tflite_file(path)
    check_model(file)
    _check_entries(file)
    model, state = with_explicit_variables(file)
    parts = take_apart(model)
    specs = _specs(parts)
    _check_ends(file, parts, specs)
    _check_sizes(path, parts, specs, sizes or {})
    _warn_of_cleared(path, parts)
    return ParsedTfliteModel(file, _graph(parts, specs), parts, state)


def _check_entries(file: TfliteFile) -> None:
    other = [text(one.signatureKey) for one in file.model.signatureDefs or () if one.subgraphIndex != 0]
    if other:
        raise InputError(
            f"{file.path} has several entry points ({', '.join(other)}); convert each signature to a file of its own"
        )


def _specs(parts: Parts) -> dict[int, TensorSpec]:
    """The description of each tensor that can be sent: numbers of a numpy type."""
    return {
        index: _spec(parts.names[index], tensor)
        for index, tensor in enumerate(parts.main.tensors)
        if tensor.type in NUMPY
    }


def _spec(name: str, tensor: Any) -> TensorSpec:
    shape = _shape(tensor)
    return TensorSpec(name, NUMPY[tensor.type], shape, _quantization(tensor.quantization, len(shape)))


def _shape(tensor: Any) -> tuple[int | None, ...]:
    shape, signature = ints(tensor.shape), ints(tensor.shapeSignature)
    return tuple(None if size < 0 else shape[axis] for axis, size in enumerate(signature or shape))


def _quantization(parameters: Any, rank: int) -> Quantization | None:
    if parameters is None or parameters.scale is None or not len(parameters.scale):
        return None
    scales = tuple(float(scale) for scale in parameters.scale)
    zeros = ints(parameters.zeroPoint) or [0]
    zeros = zeros if len(zeros) == len(scales) else zeros * len(scales)
    several = len(scales) > 1 and rank > 1  # a vector has one axis, whatever the file says
    return Quantization(scales, tuple(zeros), int(parameters.quantizedDimension) if several else 0)


def _check_ends(file: TfliteFile, parts: Parts, specs: Mapping[int, TensorSpec]) -> None:
    for tensor in (*ints(parts.main.inputs), *ints(parts.main.outputs)):
        if tensor not in specs:
            raise InputError(f"`{parts.names[tensor]}` in {file.path} is not a tensor of numbers that can be sent")


def _check_sizes(path: Path, parts: Parts, specs: Mapping[int, TensorSpec], sizes: Sizes) -> None:
    inputs = {parts.names[tensor]: specs[tensor] for tensor in ints(parts.main.inputs)}
    for name, requested in sizes.items():
        if name not in inputs:
            raise InputError(f"{path} has no input `{name}`; it has {', '.join(inputs)}")
        shape = inputs[name].shape
        fits = len(requested) == len(shape) and all(
            got in (None, -1) or got == (1 if want is None else want)
            for got, want in zip(requested, shape, strict=True)
        )
        if not fits:
            raise InputError(f"the shape of `{name}` is fixed in {path}; convert the model again with the one you need")
    for name, spec in inputs.items():
        if None in spec.shape[1:]:
            raise InputError(f"the input `{name}` of {path} has open sizes; convert the model again with fixed ones")


def _warn_of_cleared(path: Path, parts: Parts) -> None:
    """Variable tensors, unlike resource variables, cannot be taken out of their operators."""
    read = (tensor for at in parts.places for tensor in ints(parts.main.operators[at].inputs) if tensor >= 0)
    kept = next((parts.names[tensor] for tensor in read if parts.main.tensors[tensor].isVariable), None)
    if kept is not None:
        log.warning(
            "%s has state in variable tensors (`%s`), which is cleared before every frame: frames are independent",
            path,
            kept,
        )


def _graph(parts: Parts, specs: Mapping[int, TensorSpec]) -> Graph:
    main, names = parts.main, parts.names
    states = state_users(parts.model, names)
    operators, constants = _operators(parts, states)
    produced = [tensor for at in parts.places for tensor in ints(main.operators[at].outputs)]
    used = dict.fromkeys((*ints(main.inputs), *produced, *ints(main.outputs)))
    values = {names[tensor]: specs[tensor] for tensor in used if tensor in specs}
    loose = {
        names[tensor] for tensor in _data_dependent(parts) if tensor in used and None in _shape(main.tensors[tensor])
    } | {names[tensor] for tensor in _unsized(parts) if tensor in used}
    sizes = {
        names[tensor]: math.prod(ints(main.tensors[tensor].shape)) * specs[tensor].itemsize
        for tensor in used
        if tensor in specs
    }
    return Graph(
        operators=operators,
        values=values,
        constants=constants,
        inputs=tuple(names[tensor] for tensor in dict.fromkeys(ints(main.inputs))),
        outputs=tuple(names[tensor] for tensor in dict.fromkeys(ints(main.outputs))),
        sizes=sizes,
        local=frozenset({names[tensor] for tensor in used if tensor not in specs} | loose | set(states)),
    )


def _operators(parts: Parts, states: Mapping[str, Sequence[int]]) -> tuple[tuple[Operator, ...], dict[str, int]]:
    """The graph's operators; those that share state depend on the first of them through a value that cannot be sent."""
    alive = set(parts.places)
    first = {state: next((at for at in users if at in alive), -1) for state, users in states.items()}
    taken: set[str] = set()
    constants: dict[str, int] = {}
    found = []
    for at in parts.places:
        operator = parts.main.operators[at]
        read = [parts.names[tensor] for tensor in ints(operator.inputs) if tensor in parts.moving]
        read += [state for state, users in states.items() if at in users and at != first[state]]
        outputs = [parts.names[tensor] for tensor in ints(operator.outputs)]
        kind, sources = operator_kind(parts.model, operator), parts.sources(at)
        name = outputs[0] if outputs else f"{kind}_{at}"
        while name in taken:
            name += "_"
        taken.add(name)
        constants.update(sources)
        outputs += [state for state, place in first.items() if place == at]
        work = _work(parts, at, sum(sources.values()))
        found.append(Operator(name, kind, tuple(dict.fromkeys(read)), tuple(outputs), tuple(sources), work))
    return tuple(found), constants


def _work(parts: Parts, at: int, weight_bytes: int) -> int:
    operator = parts.main.operators[at]
    read, outputs = ints(operator.inputs), ints(operator.outputs)
    shapes = [None if tensor < 0 else tuple(ints(parts.main.tensors[tensor].shape)) for tensor in (*read, *outputs)]
    weights = sum(
        math.prod(shape)
        for tensor, shape in zip(read, shapes, strict=False)
        if shape is not None and tensor not in parts.moving
    )
    own = multiply_adds(
        operator_kind(parts.model, operator), shapes[: len(read)], shapes[len(read) :], weights,
        next(options_of(operator), None),
    )  # fmt: skip
    return own + weight_bytes // 4 if called(operator) else own


def _unsized(parts: Parts) -> set[int]:
    """Tensors without a shape in the file that custom operators, which size their outputs in a run, lead to."""
    found: set[int] = set()
    for operator in parts.main.operators:
        custom = parts.model.operatorCodes[operator.opcodeIndex].customCode
        if custom or found.intersection(ints(operator.inputs)):
            found.update(at for at in ints(operator.outputs) if not ints(parts.main.tensors[at].shape))
    return found


def _data_dependent(parts: Parts) -> set[int]:
    """Tensors whose shape is known only in a run."""
    found: set[int] = set()
    for operator in parts.main.operators:
        if operator_kind(parts.model, operator) in DATA_DEPENDENT or found.intersection(ints(operator.inputs)):
            found.update(ints(operator.outputs))
    return found
