"""Name every value after the layer that makes it, as torchvision's feature extractor does.

A layer's output has the layer's path in the module (``layer2.0.relu``). Other values have the operation after the path
(``layer2.0.add``, ``encoder.self_attention.view``). The second value of a name ends in ``_1``, and so on.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

SCOPES = "pkg.torch.onnx.name_scopes"
_NUMBER = re.compile(r"(_\d+)+$")
_CALL = re.compile(r"@\d+")
_NOT_A_PATH = re.compile(r"[^\w.]")


def name_values(model: Any, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
    """Rename the values of an onnx_ir model that torch.onnx made, in place; drop the traces of where it was made.

    ``inputs`` and ``outputs``: names for those, as far as they go; else an input keeps its argument's name.
    """
    graph = model.graph
    nodes = list(graph)
    places = [_place(node) for node in nodes]
    paths = {path for path, _ in places}
    inner = {path.rpartition(".")[0] for path in paths} | {
        path[:at] for path in paths for at, letter in enumerate(path) if letter == "."
    }
    taken = {value.name for value in graph.inputs} | set(graph.initializers)
    for value, name in zip(graph.inputs, inputs, strict=False):
        taken.discard(value.name)
        value.name = _free(name, taken)
        taken.add(value.name)
    output_names = {id(value): name for value, name in zip(graph.outputs, outputs, strict=False)}
    taken |= set(output_names.values())
    for at, node in enumerate(nodes):
        path, operation = places[at]
        last = at + 1 == len(nodes) or places[at + 1][0] != path
        name = path if path and path not in inner and last else f"{path}.{operation}" if path else operation
        for value in node.outputs:
            if value.name:
                value.name = output_names.get(id(value)) or _free(name, taken)
                taken.add(value.name)
        node.name = f"{node.outputs[0].name}:{node.op_type}"
    _forget(model, nodes)


def _place(node: Any) -> tuple[str, str]:
    """The path of the module and the operation that a node comes from; no path for what the exporter added."""
    try:
        scopes = [str(scope) for scope in ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))]
    except (ValueError, SyntaxError):
        scopes = []
    operation = _NUMBER.sub("", scopes[-1]) if scopes else node.op_type.lower()
    path = _CALL.sub("", scopes[-2]) if len(scopes) > 1 else ""
    if path.startswith("_empty_nn_module_stack"):
        path = ""
    return _NOT_A_PATH.sub("_", path), _NOT_A_PATH.sub("_", operation).strip("_") or node.op_type.lower()


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _forget(model: Any, nodes: Sequence[Any]) -> None:
    """Remove stack traces, paths of the exporting machine, and symbols that are numbered differently each time."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    for node in nodes:
        node.metadata_props.clear()
        node.doc_string = None
        values += node.outputs
    for value in values:
        value.metadata_props.clear()
        value.doc_string = None
