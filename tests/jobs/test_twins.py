"""Stages of one plan for several engines: the shipped digit model on ONNX Runtime and on LiteRT."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from partway.engines.registry import engine_for
from partway.errors import InputError, MissingPackage
from partway.partitioner.calibrate.accuracy import Array
from partway.partitioner.plan.chain import Chain, choose_engine, load_chain
from partway.partitioner.plan.parity import relative_error
from partway.partitioner.plan.plan import Plan, StageFile, plan_to_json
from partway.partitioner.plan.plan_file import load_plan, plan_from_json, read_stage
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import model_folder
from partway.partitioner.zoo.idx import read_idx

MNIST = model_folder("mnist")
ROUNDING = 1e-5
"""Relative; float32 sums in another order."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The shipped plan."""
    return load_plan(MNIST)


@pytest.fixture(scope="module")
def chains(plan: Plan) -> Mapping[str, Chain]:
    """The whole chain on each engine."""
    pytest.importorskip("ai_edge_litert")
    return {name: load_chain(plan, engine_for(name, 1), lambda s: read_stage(MNIST, s)) for name in ("onnx", "litert")}


@pytest.fixture(scope="module")
def digits(plan: Plan, data: Path) -> tuple[Array, Array]:
    """A thousand MNIST test images as input tensors, and their labels."""
    preprocess = Preprocess.from_json(plan.input)
    assert preprocess is not None
    images = read_idx(next((data / "mnist").glob("t10k-images*")))[:1000, :, :, None]
    labels = read_idx(next((data / "mnist").glob("t10k-labels*")))[:1000]
    return np.concatenate([preprocess.tensor(image) for image in images]), labels


def mixed(chains: Mapping[str, Chain], first: str, second: str, k: int, image: Array) -> Array:
    """The logits with the stages before k on one engine, and only what crosses handed to the other."""
    live = chains[first].run({"image": image}, 0, k)
    crossing = {name: live[name] for name in chains[first].plan.cuts[k].values}
    return chains[second].run(crossing, k, len(chains[second].stages))["logits"]


@pytest.mark.parametrize(("first", "second"), [("litert", "onnx"), ("onnx", "litert"), ("litert", "litert")])
def test_any_engine_may_go_on_where_another_left_off(
    chains: Mapping[str, Chain], digits: tuple[Array, Array], first: str, second: str
) -> None:
    """At every split, a thousand real digits: the logits are the whole model's up to rounding, the answers equal."""
    image, labels = digits
    whole = chains["onnx"].run({"image": image}, 0, 3)["logits"]
    for k in (1, 2):
        made = mixed(chains, first, second, k, image)
        assert relative_error(whole, made) <= ROUNDING
        assert np.array_equal(made.argmax(1), whole.argmax(1))
    assert (whole.argmax(1) == labels).mean() > 0.99


def test_the_wrong_suffix_would_be_noticed(chains: Mapping[str, Chain], digits: tuple[Array, Array]) -> None:
    """The tolerance tells a twin from something else: relu3 in the other layout is far off."""
    image = digits[0][:50]
    whole = chains["onnx"].run({"image": image}, 0, 3)["logits"]
    relu3 = chains["litert"].run({"image": image}, 0, 1)["relu3"]
    turned = np.ascontiguousarray(relu3.transpose(0, 2, 3, 1)).reshape(relu3.shape)
    assert relative_error(whole, chains["onnx"].run({"relu3": turned}, 1, 3)["logits"]) > 1000 * ROUNDING


def test_twins_have_the_very_tensors_of_the_plan(plan: Plan, chains: Mapping[str, Chain]) -> None:
    """Name, dtype, shape and layout: what one engine hands over, another takes."""
    for stage, loaded in zip(plan.stages, chains["litert"].stages, strict=True):
        assert (loaded.inputs, loaded.outputs) == (stage.inputs, stage.outputs)


def test_the_digest_covers_twins_and_old_plans_keep_theirs(plan: Plan) -> None:
    """Both halves agree on every file a plan names; a plan without twins is written as it always was."""
    assert plan_from_json(plan_to_json(plan)) == plan
    bare = replace(plan, stages=tuple(replace(stage, twins={}) for stage in plan.stages))
    assert bare.digest != plan.digest
    assert all("twins" not in stage for stage in plan_to_json(bare)["stages"])
    assert (plan.engines, bare.engines) == (("onnx", "litert"), ("onnx",))


def test_a_twin_for_some_stages_is_none(plan: Plan) -> None:
    """An engine counts when it has every stage."""
    first, *rest = plan.stages
    lame = replace(plan, stages=(first, *(replace(stage, twins={}) for stage in rest)))
    assert lame.engines == ("onnx",)
    with pytest.raises(InputError, match="mnist has no stages for engine 'litert'; it has them for: onnx"):
        lame.stages_on("litert")


@pytest.mark.parametrize("file", ["../x.tflite", "/etc/passwd", ""])
def test_a_twins_file_is_a_plain_name(plan: Plan, file: str) -> None:
    """A plan from a cloud cannot point a reader at other files."""
    bad = StageFile(file, "0" * 64, 1)
    made = replace(plan, stages=(replace(plan.stages[0], twins={"litert": bad}), *plan.stages[1:]))
    with pytest.raises(InputError, match="plain file name"):
        plan_from_json(plan_to_json(made))


def test_every_twin_matches_its_digest(plan: Plan) -> None:
    """The shipped files are the ones the plan names."""
    for stage in plan.stages:
        for file in stage.files:
            body = (MNIST / file.file).read_bytes()
            assert (hashlib.sha256(body).hexdigest(), len(body)) == (file.digest, file.size_bytes)


def test_where_the_plans_own_engine_is_missing_a_twin_runs(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with LiteRT alone needs no option; one that has neither is told what the first is missing."""

    def missing() -> None:
        raise MissingPackage("the engine litert needs LiteRT, which is not installed")

    pytest.importorskip("ai_edge_litert")
    assert choose_engine(plan).name == "onnx"
    monkeypatch.setitem(sys.modules, "partway.engines.onnxruntime.engine", None)
    assert choose_engine(plan).name == "litert"
    with pytest.raises(MissingPackage, match="onnxruntime"):
        choose_engine(plan, "onnx")
    monkeypatch.setattr("partway.engines.litert.engine.find_package", missing)
    with pytest.raises(MissingPackage, match="onnxruntime"):
        choose_engine(plan)
