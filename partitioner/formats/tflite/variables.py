"""Resource variables as inputs and outputs of the model, so that a frame's state is data like any other.

An interpreter keeps variables between its runs, which binds a stream of frames to one interpreter. A variable that the
main graph reads and assigns becomes an input (what the frame before assigned) and an output (what this frame assigns).
Its first value is what the model's own initialisation assigns. Every split is then possible, and no machine has to keep
state.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from partway.engines.registry import engine_for
from partway.engines.sandbox import try_stages
from partway.errors import InputError
from partway.partitioner.formats.tflite.file import TfliteFile, operator_kind, options_of, schema, text
from partway.partitioner.formats.tflite.stage_builder import stage_model
from partway.partitioner.formats.tflite.subgraph import ints, take_apart
from partway.partitioner.formats.tflite.validate import called
from partway.partitioner.formats.tflite.writer import write_model
from partway.partitioner.plan.state import StateLink, initial_bytes

HANDLE, READ, ASSIGN = "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"
ONCE = "CALL_ONCE"


@dataclass(slots=True)
class _Variable:
    """What the main graph does with one variable: the tensor of its first read, and the tensor it holds now."""

    read: int | None = None
    holds: int | None = None
    assigned: bool = False


@dataclass(slots=True)
class _Rewriting:
    """The main graph without operators on variables; ``renamed``: tensors that are others now."""

    variables: dict[str, _Variable] = field(default_factory=dict)
    operators: list[Any] = field(default_factory=list)
    renamed: dict[int, int] = field(default_factory=dict)


def with_explicit_variables(file: TfliteFile) -> tuple[Any, tuple[StateLink, ...]]:
    """The model without resource variables, and the outputs that are inputs of the next frame.

    Raises InputError for variables that branches and loops use: those cannot be taken out.
    """
    model = file.model
    handles = _handles(file)
    if not handles:
        return model, ()
    found = _rewritten(model, handles)
    state = {name: one for name, one in found.variables.items() if one.read is not None}
    if unassigned := state.keys() - _initialised(model):
        raise InputError(
            f"{file.path} reads the variable {min(unassigned)} before anything is assigned to it; convert it again"
        )
    first = _first_values(file, [one.read for one in state.values() if one.read is not None])
    carried = [one for one in state.values() if one.assigned and one.holds != one.read]
    changed = _model(model, found, carried, {one.read: first[one.read] for one in state.values() if one not in carried})
    names = take_apart(changed).names
    own = set(ints(model.subgraphs[0].outputs))
    links = [
        StateLink(names[one.holds], names[one.read], initial_bytes(first[one.read]), one.holds in own)
        for one in carried
        if one.read is not None and one.holds is not None
    ]
    return changed, tuple(links)


def _handles(file: TfliteFile) -> dict[int, str]:
    """The main graph's handles: tensor to the variable's name. Raises InputError where they go elsewhere."""
    model, main = file.model, file.model.subgraphs[0]
    found: dict[int, str] = {}
    for operator in main.operators:
        kind = operator_kind(model, operator)
        if kind == HANDLE:
            found[ints(operator.outputs)[0]] = _name(operator)
        handed_on = kind not in (READ, ASSIGN) and any(tensor in found for tensor in ints(operator.inputs))
        bodies = [] if kind == ONCE else called(operator)
        if handed_on or any(_touches(model, target, set()) for target in bodies):
            raise _inside(file, kind)
    return found


def _name(operator: Any) -> str:
    """The variable that a handle is of."""
    return next((f"{text(options.container)}/{text(options.sharedName)}" for options in options_of(operator)), "")


def _initialised(model: Any) -> set[str]:
    """The variables that the model assigns before its first frame."""
    found: set[str] = set()
    for operator in model.subgraphs[0].operators:
        for target in called(operator) if operator_kind(model, operator) == ONCE else ():
            handles = {}
            for one in model.subgraphs[target].operators or ():
                if operator_kind(model, one) == HANDLE:
                    handles[ints(one.outputs)[0]] = _name(one)
                elif operator_kind(model, one) == ASSIGN:
                    found.add(handles.get(ints(one.inputs)[0], ""))
    return found


def _touches(model: Any, graph: int, seen: set[int]) -> bool:
    """Whether a body, or one that it calls, uses variables."""
    if graph in seen:
        return False
    seen.add(graph)
    return any(
        operator_kind(model, one) in (HANDLE, READ, ASSIGN)
        or any(_touches(model, target, seen) for target in called(one))
        for one in model.subgraphs[graph].operators or ()
    )


def _inside(file: TfliteFile, kind: str) -> InputError:
    return InputError(
        f"{file.path} reads or assigns variables inside {kind}, so its state cannot be carried from frame to frame;"
        " convert it again with the state as inputs and outputs, or with the variables outside branches and loops"
    )


def _rewritten(model: Any, handles: dict[int, str]) -> _Rewriting:
    found = _Rewriting()
    for operator in model.subgraphs[0].operators:
        kind, inputs = operator_kind(model, operator), ints(operator.inputs)
        if kind == HANDLE or (kind == ONCE and not _makes_tables(model, operator)):
            continue
        if kind in (READ, ASSIGN):
            variable = found.variables.setdefault(handles[inputs[0]], _Variable())
            if kind == ASSIGN:
                variable.holds, variable.assigned = found.renamed.get(inputs[1], inputs[1]), True
            elif variable.holds is None:
                variable.read = variable.holds = ints(operator.outputs)[0]
            else:
                found.renamed[ints(operator.outputs)[0]] = variable.holds
            continue
        found.operators.append(_reading(operator, found.renamed))
    return found


def _makes_tables(model: Any, operator: Any) -> bool:
    return any(
        operator_kind(model, one).startswith("HASHTABLE")
        for target in called(operator)
        for one in model.subgraphs[target].operators or ()
    )


def _reading(operator: Any, renamed: dict[int, int]) -> Any:
    """The operator with other inputs where those are other tensors now."""
    inputs = ints(operator.inputs)
    if not any(tensor in renamed for tensor in inputs):
        return operator
    copied = copy.copy(operator)
    copied.inputs = _numbers([renamed.get(tensor, tensor) for tensor in inputs])
    return copied


def _model(model: Any, found: _Rewriting, carried: Sequence[_Variable], constants: dict[Any, Any]) -> Any:
    """A copy of the model with another main graph; ``constants`` are read and never assigned."""
    main = copy.copy(model.subgraphs[0])
    outputs = [found.renamed.get(tensor, tensor) for tensor in ints(main.outputs)]
    main.operators = found.operators
    main.inputs = _numbers([*ints(main.inputs), *(one.read for one in carried if one.read is not None)])
    main.outputs = _numbers([*outputs, *(one.holds for one in carried if one.holds is not None)], once=True)
    main.tensors = list(main.tensors)
    changed = copy.copy(model)
    changed.buffers = list(model.buffers)
    for tensor, array in constants.items():
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.astype(array.dtype.newbyteorder("<")).tobytes(), np.uint8)
        main.tensors[tensor] = copy.copy(main.tensors[tensor])
        main.tensors[tensor].buffer = len(changed.buffers)
        changed.buffers.append(buffer)
    changed.subgraphs = [main, *model.subgraphs[1:]]
    return changed


def _numbers(tensors: Sequence[int], once: bool = False) -> np.ndarray[Any, Any]:
    return np.array(list(dict.fromkeys(tensors)) if once else tensors, np.int32)


def _first_values(file: TfliteFile, reads: Sequence[int]) -> dict[int | None, np.ndarray[Any, Any]]:
    """What the initialisation assigns, by the tensors that read it. LiteRT runs it, first in another process."""
    if not reads:
        return {}
    parts = take_apart(file.model)
    kinds = {at: operator_kind(file.model, operator) for at, operator in enumerate(parts.main.operators)}
    first = {tensor: at for at, one in enumerate(parts.main.operators) for tensor in ints(one.outputs)}
    places = [at for at, kind in kinds.items() if kind in (ONCE, HANDLE)] + [first[tensor] for tensor in reads]
    with tempfile.TemporaryDirectory(prefix="partway-") as folder:
        path = Path(folder, "initial.tflite")
        write_model(stage_model(parts, sorted(places), [], reads), path)
        try_stages("litert", [path], str(file.path))
        values = engine_for("litert").load(path.read_bytes()).run({})
    return {tensor: values[parts.names[tensor]] for tensor in reads}
