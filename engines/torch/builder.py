"""From an ONNX model to a torch module: the same operators, one torch function each, weights as buffers.

Sizes, which ONNX exporters compute with operators, stay on the host while the module runs. So nothing waits for the
device, and a GPU run can be captured as a CUDA graph. Operators of constants alone are computed while building.
"""

from __future__ import annotations

import operator as python_operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from partway.engines.onnx_file.external_data import DTYPES
from partway.engines.onnx_file.model import AttributeReference, Body, Function, OnnxFile, OnnxOperator
from partway.engines.onnx_file.values import Constant, Value
from partway.engines.torch.operator_table import (
    TABLE,
    OperatorContext,
    OperatorEntry,
    ShapeCache,
    to_tensor,
    unsupported,
)
from partway.engines.torch.operators import (  # noqa: F401 - they fill the table
    convolution,
    detection,
    elementwise,
    indexing,
    normalization,
    quantization,
    reduction,
    resize,
    shape,
)
from partway.engines.torch.operators.indexing import on_device
from partway.errors import InputError
from partway.proto.datatypes import OIP_NAME
from partway.proto.tensors import TensorSpec

DEEPEST = 32
_INTEGER_TYPES = frozenset({2, 3, 4, 5, 6, 7, 9, 12, 13})


@dataclass(frozen=True, slots=True)
class Built:
    """A module on its device: positional inputs in, a tuple of outputs out.

    ``waits`` marks a module whose shapes depend on computed numbers: it cannot be captured. ``mixes`` marks one that
    combines the samples of a batch, so that padding would change answers.
    """

    module: fx.GraphModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    waits: bool
    mixes: bool
    cache: ShapeCache


def build(model: OnnxFile, device: torch.device, floats: torch.dtype = torch.float32) -> Built:
    """A stage as a module. ``floats`` is what is computed in where the model says float32.

    Raises Unsupported, naming the operator, and InputError when the model does not fit together.
    """
    builder = _Builder(model, device, floats)
    inputs, outputs = tuple(map(_spec, model.body.inputs)), tuple(map(_spec, model.body.outputs))
    module = builder.module()
    mixes = any(node.kind == "DynamicQuantizeLinear" for node in model.body.operators)
    return Built(module.eval().to(device), inputs, outputs, builder.waits, mixes, builder.cache)


def _spec(value: Value) -> TensorSpec:
    dtype = DTYPES.get(value.kind) if value.kind < 16 else None
    if dtype not in OIP_NAME:
        raise InputError(f"value {value.name} is no tensor of plain numbers; only those can cross between stages")
    return TensorSpec(value.name, dtype, value.shape or ())


class _Builder:
    """Turns operators into nodes of a torch.fx graph, in order."""

    def __init__(self, model: OnnxFile, device: torch.device, floats: torch.dtype) -> None:
        self.model, self.device, self.floats = model, device, floats
        self.graph, self.root, self.cache = fx.Graph(), torch.nn.Module(), ShapeCache()
        self.constants: dict[str, torch.Tensor] = {}
        self.nodes: dict[str, fx.Node] = {}
        self.on_host: set[str] = set()
        self.moved: dict[tuple[str, bool], fx.Node] = {}
        self.waits = False

    def module(self) -> fx.GraphModule:
        body = self.model.body
        for at, value in enumerate(body.inputs):
            self.nodes[value.name] = self.graph.placeholder(f"x{at}")
            if (
                value.kind in _INTEGER_TYPES
                and value.shape is not None
                and len(value.shape) < 2
                and None not in value.shape
            ):
                self.on_host.add(value.name)  # sizes that an earlier stage made
                self.waits = True
        self.body(body)
        self.graph.output(tuple(self.input(value.name, "an output") for value in body.outputs))
        return fx.GraphModule(self.root, self.graph)

    def body(self, body: Body, depth: int = 0) -> None:
        self.constants.update((name, to_tensor(constant)) for name, constant in body.constants.items())
        for operator in body.operators:
            self.operator(operator, depth)

    def operator(self, operator: OnnxOperator, depth: int) -> None:
        function = self.model.functions.get((operator.domain, operator.kind))
        if depth > DEEPEST:
            raise unsupported(operator, "so deep inside others")
        if function is not None:
            self.call(operator, function, depth)
        elif (operator.domain, operator.kind) == ("", "If"):
            self.branch(operator, depth)
        else:
            entry = TABLE.get((operator.domain, operator.kind))
            if entry is None:
                raise unsupported(operator)
            self.enter(operator, entry)

    def enter(self, operator: OnnxOperator, entry: OperatorEntry) -> None:
        context = OperatorContext(operator, self.model.opsets.get("", 1), self.floats, self.cache)
        run = entry.factory(context)
        unknown = sorted(operator.attributes.keys() - context.read)
        if unknown:
            raise unsupported(operator, f"with the attribute {unknown[0]}")
        inputs = [name for name in operator.inputs if name]
        if all(name in self.constants for name in inputs):
            self.fold(operator, entry, run)
            return
        fluid = [name for name in inputs if name not in self.constants]
        host = entry.shapes or all(name in self.on_host for name in fluid)
        sequence = entry.many or context.output_count > 1
        args = tuple(self.argument(operator, entry, at, host) for at in range(len(operator.inputs)))
        self.waits |= entry.waits
        node = self.graph.call_function(run, args)
        for at, name in enumerate(operator.outputs):
            if name:
                self.nodes[name] = self.graph.call_function(python_operator.getitem, (node, at)) if sequence else node
                if host:
                    self.on_host.add(name)

    def argument(self, operator: OnnxOperator, entry: OperatorEntry, at: int, host: bool) -> Any:
        name = operator.inputs[at]
        if not name:
            return None
        value = self.constants.get(name)
        if value is not None and at in entry.host:
            return tuple(value.reshape(-1).tolist())
        if value is not None and at in entry.literal and value.ndim == 0:
            return value.item()
        if at in entry.host and name not in self.on_host:
            self.waits = True
        if at in entry.host or entry.shapes:
            return self.node(name, operator.called)
        if host:
            return self.node(name, operator.called) if value is None else self.held(value)
        return self.input(name, operator.called, at in entry.exact)

    def fold(self, operator: OnnxOperator, entry: OperatorEntry, run: Any) -> None:
        def literal(at: int, name: str) -> Any:
            if not name:
                return None
            value = self.constants[name]
            if at in entry.host:
                return tuple(value.reshape(-1).tolist())
            return value.item() if at in entry.literal and value.ndim == 0 else value

        try:
            with torch.inference_mode(False), torch.no_grad():
                results = run(*(literal(at, name) for at, name in enumerate(operator.inputs)))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InputError(f"the stage's {operator.called} does not fit its constants; {_brief(error)}") from error
        for name, value in zip(
            operator.outputs, results if isinstance(results, tuple | list) else (results,), strict=False
        ):
            self.constants[name] = value

    def held(self, value: torch.Tensor) -> fx.Node:
        def constant() -> torch.Tensor:
            return value

        return self.graph.call_function(constant)

    def node(self, name: str, who: str) -> fx.Node:
        node = self.nodes.get(name)
        if node is None:
            raise InputError(f"the stage's {who} reads {name!r}, which nothing makes; export or slice the model again")
        return node

    def input(self, name: str, who: str, exact: bool = False) -> fx.Node:
        """A value on the device."""
        value = self.constants.get(name)
        if value is None and name not in self.on_host:
            return self.node(name, who)
        exact = exact and (value is None or value.dtype is torch.float32)
        moved = self.moved.get((name, exact))
        if moved is not None:
            return moved
        floats = torch.float32 if exact else self.floats
        if value is None:
            moved = self.graph.call_function(on_device(self.device, self.cache, floats), (self.node(name, who),))
        else:
            moved = self.weight(value.to(floats) if value.dtype is torch.float32 else value)
        self.moved[name, exact] = moved
        return moved

    def weight(self, value: torch.Tensor) -> fx.Node:
        name = f"w{len(self.root._buffers)}"
        self.root.register_buffer(name, value)
        return self.graph.create_node("get_attr", name)

    def call(self, operator: OnnxOperator, function: Function, depth: int) -> None:
        """A local function's operators, their values renamed to those of the call."""
        names = dict(zip(function.inputs, (*operator.inputs, *[""] * len(function.inputs)), strict=False))
        names |= dict(zip(function.outputs, operator.outputs, strict=False))
        attributes = {**function.defaults, **operator.attributes}
        prefix = f"{operator.name or operator.outputs[0]}/{depth}/"
        for inner in function.operators:
            self.operator(_renamed(inner, names, attributes, prefix), depth + 1)

    def branch(self, operator: OnnxOperator, depth: int) -> None:
        """The branch that a constant condition chooses."""
        condition = self.constants.get(operator.inputs[0])
        if condition is None:
            raise unsupported(operator, "with a condition that is not known in advance")
        body = operator.attributes["then_branch" if bool(condition) else "else_branch"]
        self.body(body, depth + 1)
        for name, value in zip(operator.outputs, body.outputs, strict=False):
            self.alias(name, value.name, operator)

    def alias(self, name: str, same: str, operator: OnnxOperator) -> None:
        if same in self.constants:
            self.constants[name] = self.constants[same]
            return
        self.nodes[name] = self.node(same, operator.called)
        if same in self.on_host:
            self.on_host.add(name)


def _renamed(inner: OnnxOperator, names: Mapping[str, str], arguments: Mapping[str, Any], prefix: str) -> OnnxOperator:
    def own(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(names.get(value, prefix + value) if value else "" for value in values)

    attributes = {}
    for name, value in inner.attributes.items():
        if isinstance(value, AttributeReference):
            if value.name in arguments:
                attributes[name] = arguments[value.name]
        elif isinstance(value, Body):
            raise unsupported(inner, "inside a function")
        else:
            attributes[name] = value
    return replace(inner, inputs=own(inner.inputs), outputs=own(inner.outputs), attributes=attributes)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


__all__ = ["Built", "Constant", "build"]
