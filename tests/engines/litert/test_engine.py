"""Stages on LiteRT, beyond what every engine promises."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import InputError, MissingPackage
from partway.proto.tensors import TensorSpec

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as tfl
from tests.support.tflite_models import Model, identity

from partway.engines.litert import package as litert_package
from partway.engines.litert.engine import LitertEngine


def same(dtype: str, shape: tuple[int | None, ...]) -> bytes:
    """A stage that hands x on as y."""
    return identity([(TensorSpec("x", dtype, shape), TensorSpec("y", dtype, shape))])


def fixed_reshape() -> bytes:
    """[batch, 4] to [batch, 2, 2], with the batch of one written into the reshape."""
    model = Model()
    x, y = model.tensor("x", "float32", (None, 4)), model.tensor("y", "float32", (None, 2, 2))
    model.operator("RESHAPE", [x, model.tensor("shape", "int32", (3,), [1, 2, 2])], [y], tfl.ReshapeOptionsT())
    return model.pack([x], [y])


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool"])
def test_every_dtype_that_the_interpreter_copies_can_cross(dtype: str) -> None:
    """Each is described by its numpy name and comes out as it went in."""
    stage = LitertEngine(1).load(same(dtype, (2, 2)))
    assert stage.inputs == (TensorSpec("x", dtype, (2, 2)),)
    given = np.array([[0, 1], [1, 0]]).astype(dtype)
    made = stage.run({"x": given})["y"]
    assert (made.dtype, made.tolist()) == (given.dtype, given.tolist())


@pytest.mark.parametrize(
    "given",
    [np.zeros((1, 3), np.float64), np.zeros((1, 4), np.float32), np.zeros(3, np.float32), np.zeros((0, 3), np.float32)],
    ids=["dtype", "size", "rank", "empty"],
)
@pytest.mark.parametrize("batch", [1, None], ids=["fixed", "free"])
def test_tensors_of_the_wrong_kind_are_refused(given: Any, batch: int | None) -> None:
    """One sentence that names the value; the stage goes on working."""
    stage = LitertEngine(1).load(same("float32", (batch, 3)))
    with pytest.raises(InputError, match=r"LiteRT refused the tensors: x is"):
        stage.run({"x": given})
    right = np.ones((1, 3), np.float32)
    assert np.array_equal(stage.run({"x": right})["y"], right)


def test_big_endian_arrays_are_read_by_value() -> None:
    """The interpreter does not look at an array's byte order; the engine does."""
    stage = LitertEngine(1).load(same("float32", (1, 3)))
    assert stage.run({"x": np.array([[1, 2, 3]], ">f4")})["y"].tolist() == [[1, 2, 3]]


def test_a_stage_with_its_batch_written_into_it_runs_frame_by_frame() -> None:
    """What cannot be resized still answers a batch, and single frames before and after."""
    stage = LitertEngine(1).load(fixed_reshape())
    for batch in (1, 3, 1, 5, 2):
        x = np.arange(4 * batch, dtype=np.float32).reshape(batch, 4)
        assert np.array_equal(stage.run({"x": x})["y"], x.reshape(batch, 2, 2))


def test_state_does_not_leak_from_frame_to_frame() -> None:
    """A variable tensor begins at zero in every run: equal frames have equal answers."""
    model = Model()
    x, y = model.tensor("x", "float32", (1, 2)), model.tensor("y", "float32", (1, 2))
    weights = model.tensor("w", "float32", (2, 2), np.eye(2))
    again = model.tensor("r", "float32", (2, 2), np.eye(2))
    bias, state = model.tensor("b", "float32", (2,), [0, 0]), model.tensor("h", "float32", (1, 2), variable=True)
    options = tfl.RNNOptionsT()
    model.operator("RNN", [x, weights, again, bias, state], [y], options)
    stage = LitertEngine(1).load(model.pack([x], [y]))
    once = np.array([[1, 2]], np.float32)
    assert [stage.run({"x": once})["y"].tolist() for _ in range(3)] == [[[1, 2]]] * 3


def test_values_that_are_no_plain_tensors_are_refused() -> None:
    """Text cannot cross between stages."""
    model = Model()
    x, y = model.tensor("x", "string", (1,)), model.tensor("y", "string", (1, 1))
    model.operator("RESHAPE", [x, model.tensor("shape", "int32", (2,), [1, 1])], [y], tfl.ReshapeOptionsT())
    with pytest.raises(InputError, match="value x is a tensor of"):
        LitertEngine(1).load(model.pack([x], [y]))


def test_two_outputs_of_one_name_are_refused() -> None:
    """Values are handed on by name."""
    pairs = [(TensorSpec(a, "float32", (1,)), TensorSpec("y", "float32", (1,))) for a in "ab"]
    with pytest.raises(InputError, match="have one name"):
        LitertEngine(1).load(identity(pairs))


def test_an_operator_that_nobody_has_is_named() -> None:
    """A custom operator is refused in one sentence."""
    model = Model()
    x, y = model.tensor("x", "float32", (1,)), model.tensor("y", "float32", (1,))
    model.operator("CUSTOM", [x], [y], custom="Frobnicate")
    with pytest.raises(InputError, match=r"cannot load this stage.*Frobnicate"):
        LitertEngine(1).load(model.pack([x], [y]))


def test_floats_run_on_xnnpack() -> None:
    """The delegate takes the operators over."""
    stage = LitertEngine(1).load(fully_connected())
    kinds = [entry["op_name"] for entry in stage._interpreter._get_ops_details()]
    assert "DELEGATE" in kinds


def test_the_greeting_appears_in_no_process(tmp_path: Path) -> None:
    """It is printed once a process: a fresh one shows whether it is kept back."""
    code = (
        "import sys; from partway.engines.litert.engine import LitertEngine;"
        "LitertEngine(1).load(open(sys.argv[1],'rb').read())"
    )
    (tmp_path / "x.tflite").write_bytes(fully_connected())
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.tflite"], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def fully_connected() -> bytes:
    """One matrix product."""
    model = Model()
    x, y = model.tensor("x", "float32", (1, 2)), model.tensor("y", "float32", (1, 2))
    weights, bias = model.tensor("w", "float32", (2, 2), np.eye(2)), model.tensor("b", "float32", (2,), [0, 0])
    model.operator("FULLY_CONNECTED", [x, weights, bias], [y], tfl.FullyConnectedOptionsT())
    return model.pack([x], [y])


FILE = fully_connected()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
def test_a_damaged_file_is_a_sentence_or_a_stage(changes: list[tuple[int, int]], cut: bool) -> None:
    """Changed or missing bytes never end the process: this one is still here afterwards."""
    data = bytearray(FILE)
    for at, value in changes:
        data[at] = value
    if cut:
        del data[changes[0][0] :]
    try:
        LitertEngine(1).load(bytes(data))
    except InputError as error:
        assert "\n" not in str(error) and "stage" in str(error)


class TestPackages:
    """Which package is used, and what is said where none can be."""

    def only(self, monkeypatch: pytest.MonkeyPatch, *there: str) -> None:
        monkeypatch.setattr(litert_package, "find_spec", lambda name: object() if name in there else None)

    def test_without_either_the_sentence_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both ways are named."""
        self.only(monkeypatch)
        with pytest.raises(MissingPackage, match=r"partway\[litert\].*tflite-runtime 'numpy<2'"):
            LitertEngine()

    def test_tflite_runtime_under_numpy_2_is_refused_before_its_import(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its compiled module would print a page and fail with _ARRAY_API not found."""
        self.only(monkeypatch, "tflite_runtime")
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.14.0")
        monkeypatch.setattr(litert_package.np, "__version__", "2.4.6")
        with pytest.raises(MissingPackage, match=r"NumPy 1 and NumPy 2.4.6.*pip install 'numpy<2'"):
            LitertEngine()
        assert not [name for name in sys.modules if name.startswith("tflite_runtime")]

    def test_an_import_that_fails_half_way_leaves_nothing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A broken package is said to be broken, and can be repaired without a new process."""
        package = tmp_path / "tflite_runtime"
        package.mkdir()
        (package / "__init__.py").write_text("__version__ = '2.99.0'\n")
        (package / "interpreter.py").write_text("raise AttributeError('_ARRAY_API not found')\n")
        monkeypatch.syspath_prepend(tmp_path)
        self.only(monkeypatch, "tflite_runtime")
        with pytest.raises(MissingPackage, match=r"cannot be imported \(_ARRAY_API not found\); pip install"):
            LitertEngine()
        assert "tflite_runtime.interpreter" not in sys.modules
        (package / "interpreter.py").write_text("class Interpreter: pass\n")
        assert LitertEngine().version == "2.99.0 (tflite-runtime)"
        for name in [name for name in sys.modules if name.startswith("tflite_runtime")]:
            del sys.modules[name]
