"""Stages on ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from partway.engines.interface import WatchedStage
from partway.engines.onnx_file.external_data import AS_INTEGERS, check_locations, external_tensors, weights
from partway.engines.onnxruntime.stage import OnnxStage, brief
from partway.errors import InputError
from partway.proto.protowire import FileBytes

ort.disable_telemetry_events()
ort.set_default_logger_severity(3)
ort.create_and_register_allocator(
    ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT), None
)
"""One arena for all sessions: stages that take turns use the same memory, which stays in the processor's cache. With an
arena each, a chain over MobileNetV2's five useful cuts took 1.17 times the whole model, with one 1.08.
"""


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
        options.log_severity_level = 4  # it raises the same message that it would log
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
