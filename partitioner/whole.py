"""Load an unsplit model file, to compare its answers with those of its stages."""

from __future__ import annotations

import tempfile
from pathlib import Path

from partway.engines.engine import Engine, LoadedStage, TakesData
from partway.engines.onnx_external import external_tensors
from partway.partitioner.plan import Stage
from partway.partitioner.stage_data import open_data
from partway.proto.errors import InputError


def load_whole(model: Path, engine: Engine) -> LoadedStage:
    """The model on the engine. Raises InputError when it cannot be read or the engine does not take it.

    An ONNX model with its weights in other files, under whatever names, is copied together first: an engine reads one
    data file only.
    """
    try:
        content = model.read_bytes()
    except OSError as error:
        raise InputError(f"model file {model} cannot be read ({error.strerror}); check the path") from error
    if not isinstance(engine, TakesData) or not external_tensors(content):
        return engine.load(content)
    return _gathered(model, engine)


def _gathered(model: Path, engine: Engine) -> LoadedStage:
    from partway.partitioner.onnx_file import open_file
    from partway.partitioner.onnx_write import write_model

    file = open_file(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        digest, size_bytes, data = write_model(file.proto, file.weights, path)
        content = path.read_bytes()
        if data is None or not isinstance(engine, TakesData):
            return engine.load(content)
        stage = Stage(path.name, digest, size_bytes, (), (), 1, data)
        return engine.load_with_data(content, data.file, open_data(path.parent, stage))
