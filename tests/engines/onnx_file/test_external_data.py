"""A stage whose weights lie in a second file: that one file, by its very name, within its bounds, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from partway.engines.onnx_file.external_data import external_tensors
from partway.engines.onnxruntime.engine import OnnxEngine
from partway.errors import InputError

onnx = pytest.importorskip("onnx")
helper, Kind = onnx.helper, onnx.TensorProto
FILE = "stage0.onnx.data"
WIDTH = 8
DATA = np.arange(2 * WIDTH * WIDTH, dtype=np.float32).tobytes()
HALF = len(DATA) // 2


def tensor(
    name: str, entries: dict[str, object], kind: int = Kind.FLOAT, dims: tuple[int, ...] = (WIDTH, WIDTH)
) -> Any:
    """A tensor that says it lies in another file."""
    made = onnx.TensorProto(name=name, data_type=kind, dims=dims, data_location=Kind.EXTERNAL)
    for key, value in entries.items():
        made.external_data.add(key=key, value=str(value))
    return made


def entries(**changed: object) -> dict[str, object]:
    """Where the second matrix lies, or what is changed of that; None leaves an entry out."""
    said = {"location": FILE, "offset": HALF, "length": HALF} | changed
    return {key: value for key, value in said.items() if value is not None}


def stage(*weights: Any, nodes: list[Any] | None = None) -> bytes:
    """y = x @ w0 @ w1."""
    nodes = nodes or [helper.make_node("MatMul", ["x", "w0"], ["h"]), helper.make_node("MatMul", ["h", "w1"], ["y"])]
    infos = [helper.make_tensor_value_info(name, Kind.FLOAT, ["N", WIDTH]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "stage", infos[:1], infos[1:], list(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


GOOD = stage(tensor("w0", entries(offset=0)), tensor("w1", entries(checksum="ab" * 20)))


def test_weights_come_from_the_data_file() -> None:
    """The stage answers as one with the same weights inside."""
    w0, w1 = np.frombuffer(DATA, np.float32).reshape(2, WIDTH, WIDTH)
    x = np.ones((3, WIDTH), np.float32)
    inside = stage(*(onnx.numpy_helper.from_array(w, name) for w, name in ((w0, "w0"), (w1, "w1"))))
    got = OnnxEngine(1).load_with_data(GOOD, FILE, DATA).run({"x": x})["y"]
    assert np.array_equal(got, OnnxEngine(1).load(inside).run({"x": x})["y"])
    assert np.allclose(got, x @ w0 @ w1)


def test_without_an_offset_and_a_length_the_file_is_the_tensor() -> None:
    """Both may be left out."""
    weights = [tensor(name, entries(offset=None, length=None)) for name in ("w0", "w1")]
    got = OnnxEngine(1).load_with_data(stage(*weights), FILE, DATA).run({"x": np.eye(WIDTH, dtype=np.float32)})["y"]
    w0 = np.frombuffer(DATA, np.float32, WIDTH * WIDTH).reshape(WIDTH, WIDTH)
    assert np.allclose(got, w0 @ w0)


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT16", "INT64", "BOOL", "FLOAT8E4M3FN"])
def test_weights_of_any_whole_byte_type(kind: str) -> None:
    """Types that numpy does not have as well."""
    number = getattr(Kind, kind)
    names = [helper.make_node("Cast", ["w0"], ["y"], to=Kind.FLOAT)]
    size = {"BFLOAT16": 2, "FLOAT16": 2, "INT64": 8}.get(kind, 1)
    nodes = stage(tensor("w0", {"location": FILE, "length": 16 * size}, number, (2, WIDTH)), nodes=names)
    proto = onnx.ModelProto.FromString(nodes)
    proto.opset_import[0].version = 19
    got = OnnxEngine(1).load_with_data(proto.SerializeToString(), FILE, bytes(16 * size))
    assert np.array_equal(got.run({"x": np.zeros((1, WIDTH), np.float32)})["y"], np.zeros((2, WIDTH), np.float32))


ATTACKS = {
    "../x": entries(location="../x"),
    "absolute": entries(location="/etc/hostname"),
    "another file": entries(location="stage1.onnx.data"),
    "the same another way": entries(location="./" + FILE),
    "through a folder": entries(location="sub/../" + FILE),
    "nothing": entries(location=""),
    "no location": entries(location=None),
    "nul": entries(location=FILE + "\0"),
    "memory": entries(location="*/_ORT_MEM_ADDR_/*"),
}


@pytest.mark.parametrize("said", ATTACKS.values(), ids=ATTACKS)
def test_any_other_file_is_refused(said: dict[str, object]) -> None:
    """Only the plain name that the plan gives is accepted; with no such name nothing is."""
    bad = stage(tensor("w0", entries(offset=0)), tensor("w1", said))
    with pytest.raises(InputError, match=r"external data of `w1` from .*, only stage0\.onnx\.data beside it") as caught:
        OnnxEngine(1).load_with_data(bad, FILE, DATA)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"external data of `w[01]` .* a file that its plan does not name"):
        OnnxEngine(1).load(bad)


BEYOND = {
    "begins behind the end": entries(offset=len(DATA)),
    "ends behind the end": entries(offset=HALF + 4),
    "far away": entries(offset=10**17),
    "negative": entries(offset=-4),
    "too long for the tensor": entries(offset=0, length=len(DATA)),
    "too short for the tensor": entries(length=HALF - 4),
    "negative length": entries(length=-1),
    "no number": entries(offset="0x10"),
    "a number elsewhere": entries(offset="\u0663"),
    "not on a number's border": entries(offset=HALF - 2),
}


@pytest.mark.parametrize("said", BEYOND.values(), ids=BEYOND)
def test_bytes_that_are_not_there_are_refused(said: dict[str, object]) -> None:
    """Beyond the file's end, before its beginning, or not as many as the tensor has."""
    with pytest.raises(InputError, match=r"`w1`.* slice"):
        OnnxEngine(1).load_with_data(stage(tensor("w0", entries(offset=0)), tensor("w1", said)), FILE, DATA)


def test_dimensions_cannot_overflow() -> None:
    """Neither huge nor negative sizes lead out of the file."""
    for dims in ((2**62, 4), (2**32, 2**32), (-1, WIDTH), (-WIDTH, -WIDTH)):
        bad = stage(tensor("w0", entries(offset=0)), tensor("w1", entries(), dims=dims))
        with pytest.raises(InputError):
            OnnxEngine(1).load_with_data(bad, FILE, DATA)


def test_the_last_word_cannot_differ_from_the_first() -> None:
    """Two locations, or an entry with two values, are refused: parsers differ in which one counts."""
    twice = tensor("w1", entries())
    twice.external_data.add(key="location", value="/etc/hostname")
    with pytest.raises(InputError, match="only stage0"):
        OnnxEngine(1).load_with_data(stage(tensor("w0", entries(offset=0)), twice), FILE, DATA)
    offsets = tensor("w1", entries())
    offsets.external_data.add(key="offset", value="0")
    with pytest.raises(InputError, match="offset of `w1`"):
        OnnxEngine(1).load_with_data(stage(tensor("w0", entries(offset=0)), offsets), FILE, DATA)
    one = tensor("w1", entries())
    one.external_data[0].ClearField("key")
    made = stage(tensor("w0", entries(offset=0)), one)
    with pytest.raises(InputError):
        OnnxEngine(1).load_with_data(made, FILE, DATA)


def hiding_places() -> dict[str, bytes]:
    """Models with a tensor that lies in another file anywhere but among the initialisers."""
    out = tensor("hidden", {"location": "/etc/hostname", "length": 4}, Kind.UINT8, (4,))
    constant = helper.make_node("Constant", [], ["c"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(out)
    listed = helper.make_node("Constant", [], ["c"])
    listed.attribute.add(name="values", type=onnx.AttributeProto.TENSORS).tensors.add().CopyFrom(out)
    inner = helper.make_graph([], "inner", [], [], [out])
    branch = helper.make_node("If", ["x"], ["c"], then_branch=inner, else_branch=inner)
    deep = helper.make_node("If", ["x"], ["c"], then_branch=helper.make_graph([branch], "deep", [], []))
    sparse = onnx.SparseTensorProto(dims=[4])
    sparse.values.CopyFrom(out)
    sparse.indices.CopyFrom(out)
    holder = helper.make_node("Constant", [], ["c"])
    holder.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR).sparse_tensor.CopyFrom(sparse)
    found = {name: onnx.ModelProto.FromString(stage(nodes=[node])) for name, node in (
        ("attribute", constant), ("tensors", listed), ("body", branch), ("deep", deep), ("sparse", holder),
    )}  # fmt: skip
    top = onnx.ModelProto.FromString(GOOD)
    top.graph.sparse_initializer.add().CopyFrom(sparse)
    called = onnx.ModelProto.FromString(GOOD)
    called.functions.add(name="f", domain="d").node.add().CopyFrom(constant)
    trained = onnx.ModelProto.FromString(GOOD)
    trained.training_info.add().algorithm.initializer.add().CopyFrom(out)
    found |= {"sparse initializer": top, "function": called, "training": trained}
    return {name: model.SerializeToString() for name, model in found.items()}


@pytest.mark.parametrize("place", hiding_places())
def test_no_tensor_can_hide(place: str) -> None:
    """Wherever a tensor can stand in the format, it is found."""
    model = hiding_places()[place]
    assert "hidden" in {one.name for one in external_tensors(model)}
    with pytest.raises(InputError, match="`hidden`"):
        OnnxEngine(1).load_with_data(model, FILE, DATA)
    with pytest.raises(InputError, match="refused"):
        OnnxEngine(1).load(model)


def test_even_the_right_file_is_only_for_initialisers() -> None:
    """A constant inside a node could not be handed over, so the engine would look for a file."""
    constant = helper.make_node("Constant", [], ["y"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor("c", entries()))
    with pytest.raises(InputError, match="belongs to no initialiser"):
        OnnxEngine(1).load_with_data(stage(nodes=[constant]), FILE, DATA)


def test_a_file_in_the_working_folder_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are those that were handed in, whatever lies under the same name."""
    (tmp_path / FILE).write_bytes(bytes(len(DATA)))
    monkeypatch.chdir(tmp_path)
    got = OnnxEngine(1).load_with_data(GOOD, FILE, DATA).run({"x": np.ones((1, WIDTH), np.float32)})["y"]
    assert got.all()


@settings(deadline=None, max_examples=150)
@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255), cut=st.booleans())
@example(at=291, byte=128, cut=False)  # a name that is no text
def test_a_damaged_stage_is_refused_or_runs(at: int, byte: int, cut: bool) -> None:
    """No byte turned or file cut short ends in another error than a sentence."""
    bad = GOOD[:at] if cut else GOOD[:at] + bytes((byte,)) + GOOD[at + 1 :]
    try:
        OnnxEngine(1).load_with_data(bad, FILE, DATA)
    except InputError as error:
        assert "\n" not in str(error)
