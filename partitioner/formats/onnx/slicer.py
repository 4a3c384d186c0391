"""Slice an ONNX model at nested cuts: one valid file per stage, every weight in the stage that uses it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from partway.partitioner.cuts.stages import makers, stages_between
from partway.partitioner.formats.onnx.inputs import set_shape
from partway.partitioner.formats.onnx.lazy_file import onnx
from partway.partitioner.formats.onnx.metadata import facts_of
from partway.partitioner.formats.onnx.nodes import bodies, node_inputs
from partway.partitioner.formats.onnx.reader import ParsedOnnxModel, open_onnx
from partway.partitioner.formats.onnx.shapes import BATCHES
from partway.partitioner.formats.onnx.writer import write_model
from partway.partitioner.graph.graph import OperatorSet, members
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.model_file.model_format import Sizes, SliceableModel
from partway.partitioner.plan.plan import Stage
from partway.proto.tensors import TensorSpec


def sliceable(path: Path, sizes: Sizes) -> SliceableModel:
    """The model in a ``.onnx`` file, read for slicing. Raises :class:`InputError` for what is wrong with the file."""
    model = open_onnx(path, sizes)
    return SliceableModel(
        model.graph,
        model.file.digest(),
        "onnx",
        lambda cuts, out: slice_model(model, cuts, out),
        facts=facts_of(model.file),
        write_watched=lambda names, out: _watched(model, names, out),
    )


def _watched(model: ParsedOnnxModel, names: Sequence[str], out: Path) -> Stage:
    """What makes these values, in ``watched.onnx``."""
    graph = model.graph
    return _write_stage(model, makers(graph, names), graph.inputs, tuple(names), out / "watched.onnx")


def slice_model(model: ParsedOnnxModel, cuts: Sequence[Cut], out: Path) -> tuple[Stage, ...]:
    """Write ``stage0.onnx`` … into ``out``: one stage more than there are inner ``cuts``, which must be nested.

    Stage inputs and outputs keep the model's own names. The same model and cuts give the same bytes each time.
    Raises :class:`InputError` when a cut does not separate the model or the cuts are not nested.
    """
    out.mkdir(parents=True, exist_ok=True)
    return tuple(
        _write_stage(model, operators, inputs, outputs, out / f"stage{index}.onnx")
        for index, (operators, inputs, outputs) in enumerate(stages_between(model.graph, cuts))
    )


def _write_stage(
    model: ParsedOnnxModel, operators: OperatorSet, inputs: Sequence[str], outputs: Sequence[str], path: Path
) -> Stage:
    graph = model.graph
    read = tuple(graph.values[name] for name in inputs)
    produced = tuple(graph.values[name] for name in outputs)
    nodes = [_named(model.nodes[name], name) for name in (graph.operators[index].name for index in members(operators))]
    digest, size_bytes, data = write_model(_stage_proto(model, nodes, read, produced), model.file.weights, path)
    return Stage(path.name, digest, size_bytes, read, produced, operators.bit_count(), data)


def _named(node: Any, name: str) -> Any:
    """The node renamed to its operator's name, because profiles name operators as the stage file does."""
    if node.name == name:
        return node
    copy = type(node)()
    copy.CopyFrom(node)
    copy.name = name
    return copy


def _stage_proto(
    model: ParsedOnnxModel, nodes: Sequence[Any], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> Any:
    proto = model.file.proto
    stage = onnx.ModelProto()
    _copy_fields(proto, stage, leave_out=("graph", "functions", "training_info"))
    _copy_fields(proto.graph, stage.graph, leave_out=GRAPH_CONTENTS)
    constant_nodes, constants = _constants(model, nodes, [spec.name for spec in outputs])
    stage.graph.node.extend(constant_nodes)
    stage.graph.node.extend(nodes)
    stage.graph.input.extend(_value(model, spec) for spec in inputs)
    stage.graph.output.extend(_value(model, spec) for spec in outputs)
    _add_constants(stage, proto, constants)
    _add_annotations(stage, proto)
    _add_functions(stage, proto)
    return stage


GRAPH_CONTENTS = (
    "node", "initializer", "sparse_initializer", "input", "output", "value_info", "quantization_annotation"
)  # fmt: skip


def _copy_fields(source: Any, target: Any, leave_out: Sequence[str]) -> None:
    for field, value in source.ListFields():
        if field.name in leave_out:
            continue
        if isinstance(value, str | bytes | int | float):
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).MergeFrom(value)


def _constants(model: ParsedOnnxModel, nodes: Sequence[Any], outputs: Sequence[str]) -> tuple[list[Any], set[str]]:
    """Nodes that compute the constants of ``nodes`` and ``outputs``, in order, and the initialisers they read."""
    nodes_by_id: dict[int, Any] = {}
    names: set[str] = set()

    def need(name: str) -> None:
        if name not in model.folded:
            names.add(name)
        elif id(node := model.folded[name]) not in nodes_by_id:
            for read in node_inputs(node):
                need(read)
            nodes_by_id[id(node)] = node

    for name in (*(read for node in nodes for read in node_inputs(node)), *outputs):
        need(name)
    return list(nodes_by_id.values()), names


def _value(model: ParsedOnnxModel, spec: TensorSpec) -> Any:
    """A graph input or output; the batch dimension has the model's own name for it."""
    value = onnx.ValueInfoProto(name=spec.name)
    value.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    single, double = model.shaped.single[spec.name], model.shaped.double[spec.name]
    batch = model.shaped.batch or "batch"
    pairs = enumerate(zip(single, double, strict=True))
    own = [batch if sizes == BATCHES else f"{spec.name}_{axis}" for axis, sizes in pairs]
    set_shape(value, [own[axis] if size is None else size for axis, size in enumerate(spec.shape)])
    return value


def _add_constants(stage: Any, proto: Any, names: set[str]) -> None:
    graph = stage.graph
    graph.initializer.extend(tensor for tensor in proto.graph.initializer if tensor.name in names)
    graph.sparse_initializer.extend(one for one in proto.graph.sparse_initializer if one.values.name in names)
    if stage.ir_version < INITIALISERS_NEED_NO_INPUT:
        missing = names - _inputs(graph)
        graph.input.extend(value for value in proto.graph.input if value.name in missing)


INITIALISERS_NEED_NO_INPUT = 4


def _inputs(graph: Any) -> set[str]:
    return {value.name for value in graph.input}


def _add_annotations(stage: Any, proto: Any) -> None:
    graph = stage.graph
    inner = {name for node in graph.node for name in node.output} - {value.name for value in graph.output}
    graph.value_info.extend(value for value in proto.graph.value_info if value.name in inner)
    names = inner | _inputs(graph) | {value.name for value in graph.output} | {one.name for one in graph.initializer}
    graph.quantization_annotation.extend(
        note for note in proto.graph.quantization_annotation if note.tensor_name in names
    )


def _add_functions(stage: Any, proto: Any) -> None:
    by_name = {(function.domain, function.name): function for function in proto.functions}
    used: set[tuple[str, str]] = set()

    def use(nodes: Iterable[Any]) -> None:
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in by_name and key not in used:
                used.add(key)
                use(by_name[key].node)
            for body in bodies(node):
                use(body.node)

    use(stage.graph.node)
    stage.functions.extend(function for key, function in by_name.items() if key in used)
