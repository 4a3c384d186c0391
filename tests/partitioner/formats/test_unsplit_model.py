"""Unsplit model files, loaded to compare answers with."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as tfl
from tests.support.architectures import wide
from tests.support.chains import feeds_for
from tests.support.tflite_runs import modified

from partway.engines.fake import fake_stage
from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.formats.onnx import writer
from partway.partitioner.formats.unsplit_model import load_unsplit, without_axes_of_vectors
from partway.proto.tensors import TensorSpec

FEEDS = feeds_for(wide(3, 64), {}, 2)


@pytest.fixture
def expected(tmp_path: Path) -> np.ndarray:
    """What the model in one file answers."""
    onnx.save(wide(3, 64), tmp_path / "one.onnx")
    return np.asarray(load_unsplit(tmp_path / "one.onnx", engine_for("onnx", 1)).run(FEEDS)["layer2"])


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The same model with its weights in another file."""
    path = tmp_path / "model.onnx"
    onnx.save(wide(3, 64), path, save_as_external_data=True, size_threshold=0, location="weights.bin")
    return path


def test_weights_in_another_file_are_gathered(outside: Path, expected: np.ndarray) -> None:
    """The answer is that of the model in one file."""
    found = load_unsplit(outside, engine_for("onnx", 1)).run(FEEDS)["layer2"]
    np.testing.assert_array_equal(found, expected)


def test_a_model_too_large_for_one_file_is_loaded_with_its_data(
    outside: Path, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for stages, the weights then stay in a file beside the model while it is loaded."""
    monkeypatch.setattr(writer, "LARGEST_FILE_BYTES", 20_000)
    found = load_unsplit(outside, engine_for("onnx", 1)).run(FEEDS)["layer2"]
    np.testing.assert_array_equal(found, expected)


def test_an_engine_without_data_files_gets_the_model_as_it_is(tmp_path: Path) -> None:
    """The bytes of the file and nothing else."""
    specs = [TensorSpec(name, "float32", (None, 4)) for name in "xy"]
    (tmp_path / "model.json").write_bytes(fake_stage(specs[:1], specs[1:], 0.0))
    loaded = load_unsplit(tmp_path / "model.json", engine_for("fake"))
    assert [spec.name for spec in loaded.outputs] == ["y"]


@pytest.mark.parametrize("engine", ["onnx", "fake"])
def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, engine: str) -> None:
    """It names the file and the engine."""
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=rf"bad\.onnx is no model that {engine} runs") as caught:
        load_unsplit(tmp_path / "bad.onnx", engine_for(engine))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the reason of the system."""
    with pytest.raises(InputError, match=r"none\.onnx cannot be read \(No such file"):
        load_unsplit(tmp_path / "none.onnx", engine_for("onnx", 1))


def test_a_tflite_model_whose_vector_names_an_axis_is_loaded_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so; another model is the file itself."""

    def vector(model: Any) -> None:
        quantization = model.subgraphs[0].tensors[1].quantization = tfl.QuantizationParametersT()
        model.subgraphs[0].tensors[1].shape = [4]
        quantization.scale, quantization.zeroPoint, quantization.quantizedDimension = [1.0] * 4, [0] * 4, 3

    path = tmp_path / "m.tflite"
    path.write_bytes(modified(vector))
    feeds = {"x": np.ones((1, 4), np.float32)}
    found = load_unsplit(path, engine_for("litert", 1), trial=True).run(feeds)
    assert "names a quantisation axis of a vector" in caplog.text
    path.write_bytes(modified(lambda model: None))
    assert without_axes_of_vectors(path, tmp_path / "nowhere") == path
    np.testing.assert_array_equal(found["c"], load_unsplit(path, engine_for("litert", 1)).run(feeds)["c"])
