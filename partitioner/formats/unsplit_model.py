"""Load an unsplit model file, to compare its answers with those of its stages."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from partway.engines.interface import Engine, LoadedStage, TakesData
from partway.engines.onnx_file.external_data import external_tensors
from partway.engines.registry import engine_entry, files_of
from partway.engines.sandbox import try_stages
from partway.errors import InputError
from partway.partitioner.plan.model_file.model_format import suffix_of
from partway.partitioner.plan.plan import Stage
from partway.partitioner.plan.stage_files import open_data

log = logging.getLogger("partway.partitioner")


def load_unsplit(model: Path, engine: Engine, trial: bool = False) -> LoadedStage:
    """The model on the engine. Raises InputError when it cannot be read or the engine does not take it.

    An ONNX model with its weights in other files, under whatever names, is copied together first: an engine reads one
    data file only. A TFLite model with an axis that some interpreters refuse and others ignore is loaded without it.
    ``trial`` loads it in another process first where the engine trusts its files.
    """
    try:
        content = model.read_bytes()
    except OSError as error:
        raise InputError(f"model file {model} cannot be read ({error.strerror}); check the path") from error
    trial = trial and engine_entry(engine.name).trusts_files  # a damaged file may end the process
    if suffix_of(model) == "tflite" and files_of(engine.name) == "litert":
        with tempfile.TemporaryDirectory() as folder:
            path = without_axes_of_vectors(model, Path(folder))
            if trial:
                try_stages(engine.name, [path], str(model))
            content = path.read_bytes()
    elif trial:
        try_stages(engine.name, [model], str(model))
    try:
        outside = isinstance(engine, TakesData) and external_tensors(content)
        if not outside:
            return engine.load(content)
    except InputError as error:
        raise InputError(f"{model} is no model that {engine.name} runs ({error}); give the original file") from error
    return _gathered(model, engine)


def without_axes_of_vectors(model: Path, folder: Path) -> Path:
    """The model file itself, or a copy in ``folder`` if one of its vectors names a quantisation axis beyond the first.

    The axis of a vector means nothing. LiteRT up to 2.2 ignores it, 2.3 refuses the model.
    """
    from partway.partitioner.formats.tflite.file import open_tflite_file
    from partway.partitioner.formats.tflite.writer import write_model

    file = open_tflite_file(model)
    odd = [tensor for graph in file.model.subgraphs or () for tensor in graph.tensors or () if _odd_axis(tensor)]
    if not odd:
        return model
    log.warning("%s names a quantisation axis of a vector, which LiteRT may refuse; it is loaded without it", model)
    for tensor in odd:
        tensor.quantization.quantizedDimension = 0
    write_model(file.model, folder / model.name)
    return folder / model.name


def _odd_axis(tensor: Any) -> bool:
    vector = tensor.shape is not None and len(tensor.shape) == 1
    return vector and tensor.quantization is not None and tensor.quantization.quantizedDimension > 0


def _gathered(model: Path, engine: Engine) -> LoadedStage:
    from partway.partitioner.formats.onnx.lazy_file import open_file
    from partway.partitioner.formats.onnx.writer import write_model

    file = open_file(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        digest, size_bytes, data = write_model(file.proto, file.weights, path)
        content = path.read_bytes()
        if data is None or not isinstance(engine, TakesData):
            return engine.load(content)
        stage = Stage(path.name, digest, size_bytes, (), (), 1, data)
        return engine.load_with_data(content, data.file, open_data(path.parent, stage))
