"""Check the relations between the parts of a TFLite model: indices, shapes, types, order.

The interpreter trusts most of them; a wrong index or shape can end the process instead of raising an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.tflite.element_types import BITS, STRING, SUB_BYTE, type_name
from partway.partitioner.formats.tflite.file import KINDS, TfliteFile, builtin_code, operator_kind, options_of, text

LARGEST_TENSOR_BYTES = 1 << 31
MOST_DIMENSIONS = 8
BLOCKWISE = ("scales", "zeroPoints")


class _DamagedError(Exception):
    """A fault of the model; the handler adds the file's name."""


def check_model(file: TfliteFile) -> None:
    """Raise :class:`InputError`, one sentence, for the first fault in the model."""
    try:
        _check(file.model)
    except _DamagedError as error:
        raise InputError(f"{file.path} is damaged: {error}; download or convert it again") from error


def _check(model: Any) -> None:
    _need(bool(model.subgraphs and model.subgraphs[0].operators), "it holds no operators")
    _need(bool(model.buffers), "it holds no buffers")
    if model.externalBuffers or model.externalBufferGroups:
        raise InputError(
            "this model keeps weights in other files (external buffers); convert it with its weights inside"
        )
    for code in model.operatorCodes or ():
        _need(builtin_code(code) in KINDS, f"operator number {builtin_code(code)} is unknown to this schema")
    for graph in model.subgraphs:
        _check_graph(model, graph)
    _check_calls(model)
    for signature in model.signatureDefs or ():
        _need(signature.subgraphIndex < len(model.subgraphs), "a signature names a subgraph that is not there")
        tensors = len(model.subgraphs[signature.subgraphIndex].tensors or ())
        for entry in (*(signature.inputs or ()), *(signature.outputs or ())):
            _need(entry.tensorIndex < tensors, "a signature names a tensor that is not there")
    for entry in model.metadata or ():
        _need(entry.buffer < len(model.buffers), "its metadata names a buffer that is not there")


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise _DamagedError(what)


def _check_graph(model: Any, graph: Any) -> None:
    tensors = graph.tensors or []
    for tensor in tensors:
        _check_tensor(model, tensor, len(tensors))
    available_tensors = set(_indices(graph.inputs, len(tensors), "an input of the model"))
    _indices(graph.outputs, len(tensors), "an output of the model")
    constant = {index for index, tensor in enumerate(tensors) if weight(model, tensor) is not None}
    for operator in graph.operators or ():
        _need(operator.opcodeIndex < len(model.operatorCodes or ()), "an operator's kind is not there")
        kind = operator_kind(model, operator)
        _check_options(operator, kind)
        _indices(operator.intermediates, len(tensors), f"a {kind}", optional=True)
        for index in _indices(operator.inputs, len(tensors), f"a {kind}", optional=True):
            available = (
                index < 0
                or index in available_tensors
                or index in constant
                or tensors[index].isVariable
                or _empty(tensors[index])
            )
            _need(available, f"a {kind} reads `{text(tensors[index].name)}`, which nothing before it makes")
        for index in _indices(operator.outputs, len(tensors), f"a {kind}"):
            name = f"`{text(tensors[index].name)}`, which a {kind} makes,"
            _need(index not in constant and not tensors[index].isVariable, f"{name} is a constant or a state")
            _need(index not in available_tensors, f"{name} is made twice or is an input")
            available_tensors.add(index)
    for index in graph.outputs if graph.outputs is not None else ():
        _need(
            index in available_tensors or index in constant or _empty(tensors[index]),
            f"nothing makes the output `{text(tensors[index].name)}`",
        )


def _indices(vector: Any, count: int, whose: str, optional: bool = False) -> list[int]:
    found = [int(index) for index in vector] if vector is not None else []
    _need(all((-1 if optional else 0) <= index < count for index in found), f"{whose} names a tensor that is not there")
    return found


def _check_options(operator: Any, kind: str) -> None:
    option_tables = (
        (operator.builtinOptionsType, operator.builtinOptions),
        (operator.builtinOptions2Type, operator.builtinOptions2),
    )
    for number, options in option_tables:
        _need(
            not number or options is not None, f"the options of a {kind} are of a kind that this schema does not know"
        )


def subgraph_fields(options: Any) -> Iterator[tuple[str, Any]]:
    """The fields of an operator's options that name other subgraphs (``WHILE``, ``IF``, ``CALL_ONCE``, …)."""
    for name, value in vars(options).items():
        if "ubgraph" in name and value is not None:
            yield name, value


def called(operator: Any) -> list[int]:
    """The subgraphs that an operator runs, by index; a field below 0 names none."""
    fields = (value for options in options_of(operator) for _, value in subgraph_fields(options))
    return [index for value in fields for index in np.atleast_1d(value).astype(int).tolist() if index >= 0]


def _check_calls(model: Any) -> None:
    count = len(model.subgraphs)
    calls = {
        index: {t for op in graph.operators or () for t in called(op)} for index, graph in enumerate(model.subgraphs)
    }
    _need(all(0 < target < count for found in calls.values() for target in found), "an operator runs no subgraph of it")
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        raise _DamagedError("its subgraphs run each other in a circle") from error


def weight(model: Any, tensor: Any) -> Any:
    """The bytes of a constant tensor; ``None`` for one that is computed or fed."""
    data = model.buffers[tensor.buffer].data if tensor.buffer else None
    return None if data is None or not len(data) else data


def _empty(tensor: Any) -> bool:
    return tensor.shape is not None and 0 in tensor.shape


def _check_tensor(model: Any, tensor: Any, tensors: int) -> None:
    name = f"the tensor `{text(tensor.name)}`"
    _need(tensor.buffer < len(model.buffers), f"{name} lies in a buffer that is not there")
    _need(tensor.type in BITS, f"{name} is of type {tensor.type}, which this schema does not know")
    shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    _need(len(shape) <= MOST_DIMENSIONS and min(shape, default=0) >= -1, f"{name} has the shape {shape}")
    size_bytes = math.ceil(math.prod(max(size, 1) for size in shape) * BITS[tensor.type] / 8)
    _need(size_bytes <= LARGEST_TENSOR_BYTES, f"{name} would take {size_bytes} bytes")
    signature = [] if tensor.shapeSignature is None else [int(size) for size in tensor.shapeSignature]
    _need(len(signature) in (0, len(shape)), f"{name} has the shape {shape} and the signature {signature}")
    data = weight(model, tensor)
    if data is not None and tensor.sparsity is None and tensor.type != STRING:
        want = math.ceil(math.prod(shape) * BITS[tensor.type] / 8)
        loose = tensor.type in SUB_BYTE and len(data) == math.prod(shape)
        _need(
            len(data) == want or loose, f"{name} ({type_name(tensor.type)} {shape}) has {len(data)} bytes, not {want}"
        )
    if tensor.quantization is not None:
        _check_quantization(tensor.quantization, name, shape, tensors)
    if tensor.sparsity is not None:
        _check_sparsity(tensor.sparsity, name, shape)


def _check_quantization(quantization: Any, name: str, shape: list[int], tensors: int) -> None:
    """The scales must fit; the interpreter ignores the axis of a vector's, so any will do."""
    for field in BLOCKWISE:
        index = getattr(quantization.details, field, -1)
        _need(isinstance(index, int) and -1 <= index < tensors, f"the {field} of {name} are not there")
    scales, zeros = _vector(quantization.scale), _vector(quantization.zeroPoint)
    _need(bool(np.isfinite(scales).all()), f"{name} has a scale that is no number")
    _need(len(zeros) in (0, 1, len(scales)), f"{name} has {len(scales)} scales and {len(zeros)} zero points")
    if len(scales) > 1:
        axis = quantization.quantizedDimension
        fits = shape == [len(scales)] or (0 <= axis < len(shape) and shape[axis] == len(scales))
        _need(fits, f"{name} has {len(scales)} scales along axis {axis} of {list(shape)}")


def _vector(numbers: Any) -> np.ndarray[Any, Any]:
    return np.zeros(0) if numbers is None else np.asarray(numbers)


def _check_sparsity(sparsity: Any, name: str, shape: Sequence[int]) -> None:
    order, blocks = _vector(sparsity.traversalOrder), _vector(sparsity.blockMap)
    count = len(shape) + len(blocks)
    _need(sorted(order.tolist()) == list(range(count)), f"the sparsity of {name} does not name each axis once")
    _need(all(0 <= axis < len(shape) for axis in blocks.tolist()), f"the sparsity of {name} has blocks on no axis")
    _need(len(sparsity.dimMetadata or ()) == count, f"the sparsity of {name} does not describe each axis")
