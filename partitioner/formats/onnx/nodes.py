"""The nodes of an ONNX file: their inputs, control-flow bodies, captured values, and unknown operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from partway.errors import InputError
from partway.partitioner.formats.onnx.lazy_file import ModelFile, onnx

OLDEST_OPSET = 7
FOREIGN_DOMAINS = frozenset(
    {"ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc", "ai.onnx.preview.training"}
)
"""Domains of operators that ONNX Runtime has; those of Microsoft are also in models that it optimised and wrote."""
LEGACY = frozenset({"Upsample", "Scatter"})


def node_inputs(node: Any) -> tuple[str, ...]:
    """Every value a node reads, once each: its inputs and what its control-flow bodies capture from outside."""
    read = [name for name in node.input if name]
    for body in bodies(node):
        read.extend(captured(body))
    return tuple(dict.fromkeys(read))


def bodies(node: Any) -> Iterator[Any]:
    """The sub-graphs of a control-flow node."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def captured(body: Any) -> list[str]:
    """The outer values that a sub-graph reads."""
    inside = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
    inside |= {sparse.values.name for sparse in body.sparse_initializer}
    inside |= {name for node in body.node for name in node.output}
    read = [name for node in body.node for name in node_inputs(node)] + [value.name for value in body.output]
    return [name for name in read if name not in inside]


def check_operators(file: ModelFile) -> None:
    """Raise :class:`InputError` for an opset too old or too new, or an operator that nothing defines."""
    versions = {opset.domain: opset.version for opset in file.proto.opset_import}
    opset = versions.get("", versions.get("ai.onnx"))
    newest = onnx.defs.onnx_opset_version()
    if opset is not None and not OLDEST_OPSET <= opset <= newest:
        raise InputError(
            f"{file.path} uses ONNX opset {opset}, Partway reads {OLDEST_OPSET} to {newest}; "
            "convert it with onnx.version_converter or install a newer onnx"
        )
    functions = {(function.domain, function.name) for function in file.proto.functions}
    for node in _every_node(file.proto.graph.node):
        if (node.domain, node.op_type) not in functions:
            _check_operator(file, node, opset or newest)


def _every_node(nodes: Sequence[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        for body in bodies(node):
            yield from _every_node(body.node)


def _check_operator(file: ModelFile, node: Any, opset: int) -> None:
    if node.domain in FOREIGN_DOMAINS:
        return
    if node.domain not in ("", "ai.onnx"):
        raise InputError(
            f"{file.path} uses the operator {node.op_type} of the domain {node.domain!r}, which is neither ONNX's, "
            "ONNX Runtime's nor defined in the model; export it with standard operators"
        )
    try:
        onnx.defs.get_schema(node.op_type, opset, "")
    except (onnx.defs.SchemaError, TypeError):
        if node.op_type not in LEGACY:
            what = f"{file.path} uses the operator {node.op_type}"
            raise InputError(f"{what}, which opset {opset} does not have") from None
