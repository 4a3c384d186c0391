"""Small TFLite files, written through the schema classes that ai-edge-litert carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl

from partway.proto.tensors import TensorSpec

TYPES = {
    "float32": tfl.TensorType.FLOAT32,
    "float16": tfl.TensorType.FLOAT16,
    "float64": tfl.TensorType.FLOAT64,
    "int8": tfl.TensorType.INT8,
    "uint8": tfl.TensorType.UINT8,
    "int16": tfl.TensorType.INT16,
    "int32": tfl.TensorType.INT32,
    "int64": tfl.TensorType.INT64,
    "bool": tfl.TensorType.BOOL,
    "string": tfl.TensorType.STRING,
}


class Model:
    """A model of one subgraph in the making. Dynamic dimensions are written as 1, and as -1 in the signature."""

    def __init__(self) -> None:
        self.made = tfl.ModelT()
        self.made.version, self.made.description = 3, "test"
        self.made.buffers, self.made.operatorCodes = [tfl.BufferT()], []
        self.graph = tfl.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.made.subgraphs = [self.graph]

    def tensor(
        self, name: str, dtype: str, shape: Sequence[int | None], data: Any = None, variable: bool = False
    ) -> int:
        """A new tensor, constant when it has data; returns its index."""
        tensor = tfl.TensorT()
        tensor.name, tensor.type, tensor.hasRank, tensor.isVariable = name, TYPES[dtype], True, variable
        tensor.shape = [1 if size is None else size for size in shape]
        if None in shape:
            tensor.shapeSignature = [-1 if size is None else size for size in shape]
        if data is not None:
            buffer = tfl.BufferT()
            buffer.data = np.frombuffer(np.asarray(data, dtype).tobytes(), np.uint8)
            self.made.buffers.append(buffer)
            tensor.buffer = len(self.made.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None, custom: str = ""
    ) -> None:
        """A new operator: ``kind`` by its name in the schema."""
        code = tfl.OperatorCodeT()
        code.builtinCode = getattr(tfl.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version, code.customCode = min(code.builtinCode, 127), 1, custom or None
        self.made.operatorCodes.append(code)
        operator = tfl.OperatorT()
        operator.opcodeIndex = len(self.made.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(tfl.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.graph.operators.append(operator)

    def pack(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.made.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def identity(pairs: Sequence[tuple[TensorSpec, TensorSpec]]) -> bytes:
    """Hands each first tensor on as the second: a concatenation of one part."""
    model = Model()
    ends = []
    for source, target in pairs:
        a, b = (model.tensor(spec.name, spec.dtype, spec.shape) for spec in (source, target))
        model.operator("CONCATENATION", [a], [b], tfl.ConcatenationOptionsT())
        ends.append((a, b))
    return model.pack([a for a, _ in ends], [b for _, b in ends])


def fully_connected() -> bytes:
    """One matrix product."""
    model = Model()
    x, y = model.tensor("x", "float32", (1, 2)), model.tensor("y", "float32", (1, 2))
    weights, bias = model.tensor("w", "float32", (2, 2), np.eye(2)), model.tensor("b", "float32", (2,), [0, 0])
    model.operator("FULLY_CONNECTED", [x, weights, bias], [y], tfl.FullyConnectedOptionsT())
    return model.pack([x], [y])
