"""Read a ``.onnx`` file of any exporter into a :class:`Graph`: opset 7 to the newest that onnx supports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.partitioner.formats.onnx.inputs import model_inputs
from partway.partitioner.formats.onnx.lazy_file import ModelFile, onnx, open_file
from partway.partitioner.formats.onnx.metadata import facts_of
from partway.partitioner.formats.onnx.nodes import FOREIGN_DOMAINS, bodies, check_operators, node_inputs
from partway.partitioner.formats.onnx.shapes import Shaped, find_shapes
from partway.partitioner.graph.flops import elements, multiply_adds
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.plan.model_file.model_format import Sizes
from partway.proto.tensors import TensorSpec

RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "Multinomial", "Bernoulli", "RandomNormalLike", "RandomUniformLike"}
)
DATA_DEPENDENT = frozenset({"NonZero", "NonMaxSuppression", "Unique", "Compress"})


@dataclass(frozen=True, slots=True)
class ParsedOnnxModel:
    """An ONNX model read for slicing.

    ``nodes`` are the live nodes by operator name; ``folded`` the nodes that compute from constants only, by the values
    they make; ``sources`` the initialisers that a constant value is made of.
    """

    file: ModelFile
    graph: Graph
    nodes: Mapping[str, Any]
    folded: Mapping[str, Any]
    shaped: Shaped


def open_onnx(path: Path, sizes: Sizes | None = None) -> ParsedOnnxModel:
    """The model with its graph and what the slicer needs to write stages.

    ``sizes`` gives shapes for inputs with dynamic dimensions other than the batch.
    Raises :class:`InputError`, one sentence each, for whatever is wrong with the file.
    """
    file = open_file(path)
    check_operators(file)
    ordered = _sorted_nodes(file)
    folded, live = _folded_and_live(file, ordered)
    shaped = find_shapes(file, _checked_sizes(file, sizes or {}), _all_values(file, ordered))
    names = _operator_names(live)
    graph = _graph(file, names, live, folded, shaped)
    return ParsedOnnxModel(file, graph, dict(zip(names, live, strict=True)), folded, shaped)


def _checked_sizes(file: ModelFile, sizes: Sizes) -> Sizes:
    """The user's sizes, and those that the file's metadata gives to other inputs."""
    names = [value.name for value in model_inputs(file.proto)]
    for name in sizes:
        if name not in names:
            raise InputError(f"{file.path} has no input `{name}`; it has {', '.join(names)}")
    known = {name: size for name, size in facts_of(file).sizes.items() if name not in sizes}
    if not known:
        return sizes
    merged = copy(sizes) if isinstance(sizes, dict) else dict(sizes)
    merged.update(known)
    return merged


def _sorted_nodes(file: ModelFile) -> list[Any]:
    """The nodes in topological order; a file order that is topological stays."""
    graph = file.proto.graph
    available = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    available |= {sparse.values.name for sparse in graph.sparse_initializer}
    makeable = available | {name for node in graph.node for name in node.output}
    waiting, ordered = list(graph.node), []
    while waiting:
        later = []
        for node in waiting:
            unknown = [name for name in node_inputs(node) if name not in available]
            if unknown and unknown[0] not in makeable:
                where = f"{node.op_type} `{node.name}`"
                raise InputError(f"{where} reads `{unknown[0]}`, which nothing in {file.path} makes")
            if unknown:
                later.append(node)
                continue
            ordered.append(node)
            available.update(node.output)
        if len(later) == len(waiting):
            stuck = later[0].name or later[0].op_type
            raise InputError(f"the operators of {file.path} depend on each other in a circle, `{stuck}` for one")
        waiting = later
    return ordered


def _folded_and_live(file: ModelFile, ordered: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Nodes that compute from constants only (by value), and the others that some model output needs."""
    activations = {value.name for value in model_inputs(file.proto)}
    folded: dict[str, Any] = {}
    moving = []
    for node in ordered:
        if node.op_type in RANDOM or any(name in activations for name in node_inputs(node)):
            activations.update(name for name in node.output if name)
            moving.append(node)
        else:
            folded.update({name: node for name in node.output if name})
    needed = {value.name for value in file.proto.graph.output}
    live = []
    for node in reversed(moving):
        if needed & set(node.output):
            live.append(node)
            needed.update(node_inputs(node))
    return folded, live[::-1]


def _all_values(file: ModelFile, nodes: Sequence[Any]) -> list[str]:
    outputs = [name for node in nodes for name in node.output if name]
    return [value.name for value in model_inputs(file.proto)] + outputs


def _operator_names(nodes: Sequence[Any]) -> list[str]:
    """A unique name for each node: its own if possible."""
    taken = [node.name for node in nodes]
    used: set[str] = set()
    names = []
    for index, node in enumerate(nodes):
        name = node.name
        if not name or name in used:
            name = f"{node.op_type}_{index}"
            while name in used or name in taken:
                name += "_"
        used.add(name)
        names.append(name)
    return names


def _graph(
    file: ModelFile, names: Sequence[str], live: Sequence[Any], folded: Mapping[str, Any], shaped: Shaped
) -> Graph:
    weights = _constant_bytes(file, folded)
    inputs = tuple(value.name for value in model_inputs(file.proto))
    operators = tuple(_operator(name, node, weights, folded, shaped) for name, node in zip(names, live, strict=True))
    outputs = tuple(value.name for value in file.proto.graph.output)
    activations = [*inputs, *(name for operator in operators for name in operator.outputs), *outputs]
    loose = _data_dependent(live, shaped)
    values = {name: spec for name in activations if (spec := _spec(name, shaped, loose)) is not None}
    for name in (*inputs, *outputs):
        if name not in values:
            raise InputError(f"`{name}` in {file.path} is not a tensor of numbers; Partway splits models of those only")
    sizes = {name: TensorSpec(name, spec.dtype, shaped.single[name]).size_bytes() for name, spec in values.items()}
    local = loose | {name for name in activations if name not in values}
    return Graph(operators, values, weights, inputs, outputs, sizes, frozenset(local))


def _operator(name: str, node: Any, weights: Mapping[str, int], folded: Mapping[str, Any], shaped: Shaped) -> Operator:
    read = node_inputs(node)
    constants = dict.fromkeys(source for value in read for source in constant_sources(value, weights, folded))
    inputs = tuple(value for value in read if value not in weights and value not in folded)
    outputs = tuple(value for value in node.output if value)
    return Operator(name, node.op_type, inputs, outputs, tuple(constants), _work(node, constants, weights, shaped))


def constant_sources(value: str, weights: Mapping[str, int], folded: Mapping[str, Any]) -> tuple[str, ...]:
    """The initialisers and Constant nodes that a constant value is made of; nothing for an activation."""
    if value in weights:
        return (value,)
    if value not in folded:
        return ()
    return tuple(source for read in node_inputs(folded[value]) for source in constant_sources(read, weights, folded))


def _work(node: Any, constants: Mapping[str, None], weights: Mapping[str, int], shaped: Shaped) -> int:
    single = shaped.single
    outputs = [single.get(name) for name in node.output if name]
    opaque = node.domain not in ("", "ai.onnx", *FOREIGN_DOMAINS) or any(True for _ in bodies(node))
    if opaque:  # a function or a control-flow body uses its weights at least once
        return sum(map(elements, outputs)) + sum(weights[name] for name in constants) // 4
    attributes = {
        attribute.name: onnx.helper.get_attribute_value(attribute)
        for attribute in node.attribute
        if attribute.name in ("kernel_shape", "transA", "equation")
    }
    return multiply_adds(node.op_type, [single.get(name) for name in node.input], outputs, attributes)


def _constant_bytes(file: ModelFile, folded: Mapping[str, Any]) -> dict[str, int]:
    sizes = {}
    for tensor in file.proto.graph.initializer:
        weight = file.weights.get(tensor.name)
        sizes[tensor.name] = weight.length if weight else tensor.ByteSize()
    for sparse in file.proto.graph.sparse_initializer:
        sizes[sparse.values.name] = sparse.ByteSize()
    for name, node in folded.items():
        if not node_inputs(node):
            sizes[name] = node.ByteSize()
    return sizes


def _spec(name: str, shaped: Shaped, loose: set[str]) -> TensorSpec | None:
    if name not in shaped.single or name not in shaped.dtypes:
        return None
    return shaped.spec(name, name in loose)


def _data_dependent(live: Sequence[Any], shaped: Shaped) -> set[str]:
    """Values whose shape was only seen in a run and comes from an operator whose output depends on the data."""
    tainted: set[str] = set()
    for node in live:
        if node.op_type in DATA_DEPENDENT or tainted.intersection(node_inputs(node)):
            tainted.update(name for name in node.output if name)
    return tainted & shaped.observed
