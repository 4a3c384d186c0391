"""Load an unsplit model file, to compare its answers with those of its stages."""

from __future__ import annotations

import tempfile
from pathlib import Path

from partway.engines.interface import Engine, LoadedStage, TakesData
from partway.engines.onnx_file.external_data import external_tensors
from partway.errors import InputError
from partway.partitioner.plan.plan import Stage
from partway.partitioner.plan.stage_files import open_data


def load_unsplit(model: Path, engine: Engine) -> LoadedStage:
    """The model on the engine. Raises InputError when it cannot be read or the engine does not take it.

    An ONNX model with its weights in other files, under whatever names, is copied together first: an engine reads one
    data file only.
    """
    try:
        content = model.read_bytes()
    except OSError as error:
        raise InputError(f"model file {model} cannot be read ({error.strerror}); check the path") from error
    try:
        outside = isinstance(engine, TakesData) and external_tensors(content)
        if not outside:
            return engine.load(content)
    except InputError as error:
        raise InputError(f"{model} is no model that {engine.name} runs ({error}); give the original file") from error
    return _gathered(model, engine)


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
