"""Stages on ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
import re
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort

from partway.engines.engine import Outputs, WatchedStage
from partway.proto.errors import InputError
from partway.proto.tensors import TensorSpec, Values

ort.disable_telemetry_events()
ort.set_default_logger_severity(3)

_SOURCE = re.compile(r"\S+\.(?:h|cc|cpp):[0-9]+ (?:.*? was false\. ?)?")
"""Where in ONNX Runtime's own source an error was raised."""
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({kind}{bits})": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}


class OnnxStage:
    """One ONNX Runtime session."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self._in = tuple(spec.name for spec in self.inputs)
        self._out = tuple(spec.name for spec in self.outputs)

    def run(self, values: Values) -> Outputs:
        """Every output by name; raises InputError when ONNX Runtime refuses the tensors."""
        feeds = {name: values[name] for name in self._in}
        try:
            results: list[np.ndarray[Any, Any]] = self._session.run(self._out, feeds)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but Exception
            raise InputError(f"ONNX Runtime refused the tensors: {brief(error)}") from error
        return dict(zip(self._out, results, strict=True))


class OnnxEngine:
    """ONNX Runtime on the CPU with its arena, sequential execution."""

    name = "onnx"

    def __init__(self, threads: int = 0) -> None:
        self.version = str(ort.__version__)
        self.threads = threads or os.cpu_count() or 1

    def load(self, stage: bytes) -> OnnxStage:
        """A session over the stage's bytes; InputError when they are no ONNX model that this version runs.

        Weights in other files are refused: a stage may come from a cloud, which must not read the device's files by it.
        """
        try:
            return OnnxStage(ort.InferenceSession(stage, self._options(), providers=["CPUExecutionProvider"]))
        except Exception as error:  # as above
            raise InputError(f"ONNX Runtime cannot load this stage: {brief(error)}") from error

    def watch(self, stage: bytes) -> WatchedStage:
        """See :class:`~partway.engines.engine.TimesOperators`; by ONNX Runtime's own profiler."""
        from partway.engines.onnx_profile import WatchedOnnxStage

        return WatchedOnnxStage(stage, self._options())

    def _options(self) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it would log is raised as well
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        return options


def _spec(node: Any) -> TensorSpec:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise InputError(f"value {node.name} is a {node.type}; only plain tensors can cross between stages")
    return TensorSpec(node.name, dtype, tuple(size if isinstance(size, int) else None for size in node.shape))


def brief(error: Exception) -> str:
    """What ONNX Runtime says, without where in its own source it said it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _SOURCE.sub("", text)[:300]
