"""The plan as data: what crosses, what batches, what its digest covers."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, StageFile
from partway.partitioner.plan.preprocess import Preprocess


def test_a_plan_says_what_crosses_at_each_split(plan: Plan) -> None:
    """There is one cut more than stages, and each names its tensors with shape and type."""
    assert list(plan.splits) == [0, 1, 2, 3]
    assert [spec.name for k in plan.splits for spec in plan.crossing(k)] == ["x", "a", "b", "y"]
    assert plan.crossing(1)[0].shape == (None, 16)


def test_frames_batch_only_where_every_tensor_has_a_free_first_dimension(plan: Plan) -> None:
    """A single fixed first dimension forbids groups."""
    assert plan.batches
    fixed = replace(plan.tensors["a"], shape=(1, 16))
    assert not replace(plan, tensors={**plan.tensors, "a": fixed}).batches


def test_measurements_do_not_change_the_digest(plan: Plan) -> None:
    """Device and cloud agree on a digest whatever each has measured."""
    assert replace(plan, candidates=({"k": 1},), profiles=({"stage_s": [1]},)).digest == plan.digest


def test_an_engine_may_run_stages_that_have_no_twin(plan: Plan) -> None:
    """int8 stages where there are some, the plan's own for the others; never for an engine that cannot run those."""
    onnx = replace(plan, engine="onnx")
    twin = StageFile("int8.1", "1" * 64, 3)
    for engine, runs in (("onnx-int8", True), ("litert", False)):
        one = replace(onnx.stages[1], twins={engine: twin})
        mixed = replace(onnx, stages=(onnx.stages[0], one, onnx.stages[2]))
        assert mixed.engines == (("onnx", engine) if runs else ("onnx",))
        if runs:
            files = [stage.file for stage in mixed.stages_on(engine)]
            assert files == [onnx.stages[0].file, "int8.1", onnx.stages[2].file]
        else:
            with pytest.raises(InputError, match="has no stages for engine 'litert'"):
                mixed.stages_on(engine)


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: replace(plan, model="other"),
        lambda plan: replace(plan, engine="other"),
        lambda plan: replace(plan, stages=(replace(plan.stages[0], digest="1" * 64), *plan.stages[1:])),
        lambda plan: replace(plan, output={"kind": "classify"}),
        lambda plan: replace(plan, input={"kind": "image"}),
    ],
)
def test_whatever_changes_an_answer_changes_the_digest(plan: Plan, change: Callable[[Plan], Plan]) -> None:
    """Model, engine, stages and how input and output are read all take part."""
    assert change(plan).digest != plan.digest


def test_a_plan_computes_its_digest_and_parses_its_input_once(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are asked for with every frame; a changed copy has its own."""
    calls: list[str] = []
    hashed, parsed = hashlib.sha256, Preprocess.from_json
    monkeypatch.setattr(hashlib, "sha256", lambda data: (calls.append("hash"), hashed(data))[1])
    monkeypatch.setattr(Preprocess, "from_json", lambda data: (calls.append("parse"), parsed(data))[1])
    picture = replace(plan, input=Preprocess("x", 4, 4, 1).to_json())
    assert len({picture.digest for _ in range(3)}) == 1
    assert [picture.preprocess for _ in range(3)] == [Preprocess("x", 4, 4, 1)] * 3
    assert calls == ["hash", "parse"]
    assert replace(picture, model="other").digest != picture.digest
    assert replace(picture, input={}).preprocess is None
    assert (calls.count("hash"), calls.count("parse")) == (2, 2)
