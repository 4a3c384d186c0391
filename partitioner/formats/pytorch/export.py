"""Write a traced program as an ONNX file with layer names, and check that it answers like the module."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.pytorch.layer_names import name_values
from partway.partitioner.formats.pytorch.package import import_torch, silenced
from partway.partitioner.formats.pytorch.trace import Traced
from partway.partitioner.formats.pytorch.user_frame import first_line, operator_of, place

TOLERANCE = 1e-3
"""The largest accepted difference over the largest magnitude; rounding is 100 times smaller."""

_BATCH = re.compile(r"\bs\d+\b")


def write_onnx(traced: Traced, path: Path, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
    """Write ``path`` (and a data file beside it above 2 GB), weights included.

    ``inputs`` and ``outputs``: names for those; else the arguments' names, and the keys of a returned dict or the names
    of the layers. Raises InputError, with the operator and the line, for what ONNX cannot express.
    """
    torch = import_torch()
    program = traced.program
    try:
        with torch.no_grad(), silenced():
            exported = torch.onnx.export(program, traced.args, dynamo=True, verbose=False)
    except Exception as error:  # the exporter's own types are private
        raise InputError(_sentence(error)) from error
    name_values(exported.model, inputs, outputs or _keys(program, len(traced.answers)))
    _name_batch(exported.model)
    with silenced():
        exported.save(str(path))
    _check(traced, path)


def _sentence(error: Exception) -> str:
    at = f" at {found}" if (found := place(error)) else ""
    if operator := operator_of(error):
        return (
            f"the operation {operator}{at} has no ONNX counterpart; write it with others, or leave it out of the model"
        )
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return f"the model cannot be written as ONNX{at}: {first_line(cause)}; keep to common operations there"


def _keys(program: Any, count: int) -> list[str]:
    """The keys of a flat dict that the module returns, used as output names."""
    spec = program.call_spec.out_spec
    if spec is None or spec.type is not dict or len(spec.context) != count:
        return []
    return [str(key) for key in spec.context]


def _name_batch(model: Any) -> None:
    """Name the free dimension ``batch``: the exporter numbers it differently each time, which would change the file."""
    import onnx_ir

    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    for value in values:
        if value.shape is None:
            continue
        for at, size in enumerate(value.shape):
            if isinstance(size, onnx_ir.SymbolicDim) and size.value is not None:
                value.shape[at] = onnx_ir.SymbolicDim(_BATCH.sub("batch", str(size.value)))


def _check(traced: Traced, path: Path) -> None:
    """Raise InputError unless the exported model answers like the module on the example."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feeds = {value.name: arg.numpy() for value, arg in zip(session.get_inputs(), traced.args, strict=True)}
        answers = session.run(None, feeds)
    except Exception as error:  # ONNX Runtime's own exception types are not importable as one
        raise InputError(
            f"the exported model does not run ({first_line(error)}); try another version of torch"
        ) from error
    for value, ours, theirs in zip(session.get_outputs(), answers, traced.answers, strict=True):
        error_of = _difference(np.asarray(ours), theirs.detach().numpy())
        if not error_of <= TOLERANCE:
            raise InputError(
                f"the exported model does not answer like the module (`{value.name}` is {error_of:.2g} off): does"
                " forward draw random numbers, or keep state between calls?"
            )


def _difference(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    return float(np.max(np.abs(a - b), initial=0.0) / (np.max(np.abs(b), initial=0.0) or 1.0))
