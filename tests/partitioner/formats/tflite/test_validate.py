"""Damaged, cut-short and hostile TFLite files: one sentence each, never a crash."""

import contextlib
import sys

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.tflite_nets import save
from tests.support.tflite_runs import WHOLE, modified, read_and_slice

from partway.engines.sandbox import try_stages
from partway.errors import InputError
from partway.partitioner.slicing import make_plan, open_model

FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLACES = st.floats(0, 1, exclude_max=True)
FLIPS = st.lists(st.tuples(PLACES, st.integers(1, 255)), min_size=1, max_size=8)


@FUZZ
@given(name=st.sampled_from(sorted(WHOLE)), flips=FLIPS)
def test_flipped_bytes_are_noticed_or_harmless(tmp_path, name, flips):
    """Whatever bytes change, the reader and the slicer end with stages or with one sentence."""
    data = bytearray(WHOLE[name])
    for place, change in flips:
        data[int(place * len(data))] ^= change
    said = read_and_slice(save(tmp_path / "m.tflite", bytes(data)), tmp_path / "out")
    assert said is None or "\n" not in said


@pytest.mark.slow
def test_damaged_copies_of_a_real_model_never_end_the_process(data, tmp_path):
    """80 of them through reader and slicer; stages that come of it through LiteRT, which may refuse them."""
    whole = (data / "tflite" / "kws_ref_model.tflite").read_bytes()
    rng = np.random.default_rng(3)
    sliced = []
    for at in range(80):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(whole) - 25000, len(whole))] ^= int(rng.integers(1, 256))
        if read_and_slice(save(tmp_path / "m.tflite", bytes(damaged)), tmp_path / f"out{at}") is None:
            sliced.append(tmp_path / f"out{at}")
    assert 5 < len(sliced) < 80
    for folder in sliced[:5]:
        with contextlib.suppress(InputError):
            try_stages("litert", sorted(folder.iterdir()), "the model")


def tensor(number, **fields):
    """Change fields of a tensor of the main subgraph."""
    return lambda model: [setattr(model.subgraphs[0].tensors[number], name, value) for name, value in fields.items()]


def operator(number, **fields):
    """Change fields of an operator of the main subgraph."""
    return lambda model: [setattr(model.subgraphs[0].operators[number], name, value) for name, value in fields.items()]


def quantised(model):
    """Three scales along an axis of four."""
    quantization = model.subgraphs[0].tensors[1].quantization = tfl.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint, quantization.quantizedDimension = [1.0] * 3, [0] * 3, 1


@pytest.mark.parametrize("beyond", [0, 3])
def test_the_axis_of_a_vector_means_nothing(tmp_path, beyond):
    """Official samples name axis 3; the stages name none, for interpreters that refuse it."""

    def vector(model):
        quantization = model.subgraphs[0].tensors[1].quantization = tfl.QuantizationParametersT()
        model.subgraphs[0].tensors[1].shape = [4]
        quantization.scale, quantization.zeroPoint, quantization.quantizedDimension = [1.0] * 4, [0] * 4, beyond

    plan = make_plan(save(tmp_path / "m.tflite", modified(vector)), tmp_path / "out")
    stage = tfl.ModelT.InitFromPackedBuf((tmp_path / "out" / plan.stages[0].file).read_bytes(), 0)
    axes = [one.quantization.quantizedDimension for one in stage.subgraphs[0].tensors if one.quantization is not None]
    assert axes and not any(axes)


def circle(model):
    """A body that runs itself."""
    own = model.subgraphs[0].operators[1]
    own.inputs, own.outputs = [0, 1], []
    model.subgraphs[2].operators.append(own)
    model.subgraphs[0].operators = model.subgraphs[0].operators[:1]
    model.subgraphs[0].outputs = model.subgraphs[0].operators[0].outputs


IMPOSSIBLE = {
    "a kind of its own": (operator(0, opcodeIndex=99), "an operator's kind is not there", "chain"),
    "a tensor out of range": (operator(0, inputs=[0, 99]), "names a tensor that is not there", "chain"),
    "a missing output": (operator(0, outputs=[-1]), "names a tensor that is not there", "chain"),
    "an order that cannot be": (operator(0, inputs=[0, 6]), "`c`, which nothing before it makes", "chain"),
    "a value made twice": (operator(1, outputs=[2]), "`a`, which a ADD makes, is made twice", "chain"),
    "a weight that is made": (operator(0, outputs=[1]), "`w0`, which a ADD makes, is a constant", "chain"),
    "a buffer out of range": (tensor(1, buffer=77), "`w0` lies in a buffer that is not there", "chain"),
    "a type of tomorrow": (tensor(1, type=99), "`w0` is of type 99", "chain"),
    "a weight of another size": (tensor(1, shape=[1, 5]), "16 bytes, not 20", "chain"),
    "a tensor too large": (tensor(0, shape=[1 << 20, 1 << 20]), "`x` would take", "chain"),
    "a signature too long": (tensor(0, shapeSignature=[-1, 4, 4]), "the signature", "chain"),
    "scales that do not fit": (quantised, "3 scales along axis 1", "chain"),
    "an operator of tomorrow": (
        lambda model: setattr(model.operatorCodes[0], "builtinCode", 9999), "operator number 9999", "chain",
    ),
    "a body that runs itself": (circle, "run each other in a circle", "conditional"),
    "a body out of range": (
        lambda model: setattr(model.subgraphs[0].operators[1].builtinOptions, "thenSubgraphIndex", 9),
        "runs no subgraph of it", "conditional",
    ),
    "no operators": (lambda model: setattr(model.subgraphs[0], "operators", []), "holds no operators", "chain"),
}  # fmt: skip


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_parts_that_do_not_fit_are_named(tmp_path, what):
    """Before any interpreter sees them."""
    change, says, name = IMPOSSIBLE[what]
    path = save(tmp_path / "m.tflite", modified(change, name))
    with pytest.raises(InputError) as caught:
        open_model(path)
    assert says in str(caught.value)
    assert "m.tflite" in str(caught.value)


def test_options_of_tomorrow_are_refused(tmp_path):
    """They could not be copied into a stage; here the type of an option table is changed in the file itself."""
    data = bytearray(WHOLE["chain"])
    place = data.index(bytes([tfl.BuiltinOptions.AddOptions]), 8)
    found = False
    while place >= 0 and not found:
        trial = bytearray(data)
        trial[place] = 250
        said = read_and_slice(save(tmp_path / "m.tflite", bytes(trial)), tmp_path / "out")
        found = said is not None and "the options of a ADD are of a kind that this schema does not know" in said
        place = data.find(bytes([tfl.BuiltinOptions.AddOptions]), place + 1)
    assert found


def test_parts_that_fit_and_still_crash_litert_end_in_a_sentence(tmp_path):
    """A strided slice without its begin and end: LiteRT refuses it or crashes, as memory lies; not in this process."""

    def strided(model):
        model.operatorCodes[1].builtinCode = model.operatorCodes[1].deprecatedBuiltinCode = 45

    path = save(tmp_path / "m.tflite", modified(strided))
    with pytest.raises(InputError, match=r"ends the litert engine's process in stage1\.tflite|STRIDED_SLICE"):
        make_plan(path, tmp_path / "out", ["a", "b"])


def test_a_process_that_dies_over_a_stage_is_noticed(tmp_path, monkeypatch):
    """The sentence names the model and the stage that was being tried."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho stage7.tflite\nexec {sys.executable} -c 'import os; os.abort()'\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(
        InputError, match=r"m\.tflite is damaged: it ends the litert engine's process in stage7\.tflite"
    ):
        try_stages("litert", [tmp_path / "stage7.tflite"], "m.tflite")


def test_a_stage_that_the_engine_refuses_is_refused_in_its_words(tmp_path):
    """The options of another operator: the file is well-formed, LiteRT has no such kernel."""
    change = lambda model: setattr(model.operatorCodes[2], "version", 9999)  # noqa: E731 - one line reads best
    path = save(tmp_path / "m.tflite", modified(change))
    with pytest.raises(InputError, match="ADD"):
        make_plan(path, tmp_path / "out", ["b"])
