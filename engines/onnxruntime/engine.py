"""Stages on ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
import re
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort

from partway.engines.interface import OutOfMemory, Outputs, WatchedStage
from partway.engines.onnx_file.external_data import AS_INTEGERS, check_locations, external_tensors, weights
from partway.errors import InputError
from partway.proto.protowire import FileBytes
from partway.proto.tensors import TensorSpec, Values

ort.disable_telemetry_events()
ort.set_default_logger_severity(3)
ort.create_and_register_allocator(
    ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT), None
)
"""One arena for all sessions: stages that take turns use the same memory, which stays in the processor's cache. With an
arena each, a chain over MobileNetV2's five useful cuts took 1.17 times the whole model, with one 1.08.
"""

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
    """One ONNX Runtime session; ``keep`` holds what its weights are views of."""

    def __init__(self, session: Any, keep: object = None) -> None:
        self.session = session
        self._run = getattr(session, "_sess", session).run  # its wrapper in Python costs some 20 µs a run, cold
        self._keep = keep
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self._in = tuple(spec.name for spec in self.inputs)
        self._out = tuple(spec.name for spec in self.outputs)

    def run(self, values: Values) -> Outputs:
        """Every output by name; InputError when ONNX Runtime refuses the tensors, OutOfMemory when it has no room."""
        feeds = {name: values[name] for name in self._in}
        try:
            results: list[np.ndarray[Any, Any]] = self._run(self._out, feeds, None)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but Exception
            if "Failed to allocate memory" in str(error):
                raise OutOfMemory("ONNX Runtime found no memory for the tensors") from error
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
        check_locations(external_tensors(stage), None)
        return OnnxStage(self._session(stage, self._options()))

    def load_with_data(self, stage: bytes, file: str, data: FileBytes) -> OnnxStage:
        """The same for a stage whose external weights all lie in ``file``, whose bytes (checked) are ``data``.

        The weights are used where they lie, but for those that ONNX Runtime lays out anew for its kernels (and, while
        it loads, copies): ``data`` must stay as it is while the stage lives. InputError as above, and when the stage
        refers to any other file or to bytes that are not there.
        """
        arrays = weights(external_tensors(stage), file, data)
        options = self._options()
        values = [
            ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, kind)
            if kind in AS_INTEGERS
            else ort.OrtValue.ortvalue_from_numpy(array)
            for array, kind in arrays.values()
        ]
        if arrays:
            options.add_external_initializers(list(arrays), values)  # so that no file is looked for; this copies
        for name, value in zip(arrays, values, strict=True):
            options.add_initializer(name, value)  # and this puts the mapped bytes in the copy's place
        return OnnxStage(self._session(stage, options), keep=(arrays, values))

    def watch(self, stage: bytes) -> WatchedStage:
        """See :class:`~partway.engines.interface.TimesOperators`; by ONNX Runtime's own profiler."""
        from partway.engines.onnxruntime.profiler import WatchedOnnxStage

        return WatchedOnnxStage(stage, self._options())

    def _options(self) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it would log is raised as well
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        return options

    def _session(self, stage: bytes, options: Any) -> Any:
        try:
            return ort.InferenceSession(stage, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # as above
            raise InputError(f"ONNX Runtime cannot load this stage: {brief(error)}") from error


class QuantisedOnnxEngine(OnnxEngine):
    """The same for a plan's int8 twins, which are files of their own."""

    name = "onnx-int8"


def _spec(node: Any) -> TensorSpec:
    try:
        name, kind, shape = node.name, node.type, node.shape
    except UnicodeDecodeError as error:  # a damaged file's
        raise InputError("the name of a value of this stage is no text") from error
    dtype = _DTYPES.get(kind)
    if dtype is None:
        raise InputError(f"value {name} is a {kind}; only plain tensors can cross between stages")
    return TensorSpec(name, dtype, tuple(size if isinstance(size, int) else None for size in shape))


def brief(error: Exception) -> str:
    """What ONNX Runtime says, without where in its own source it said it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _SOURCE.sub("", text)[:300]
