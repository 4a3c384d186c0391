"""Plans on disk and on the wire, whole and damaged."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, plan_to_json
from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan, plan_from_json, read_stage, save_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import model_folder


@pytest.fixture
def plan(fake_plan: Path) -> Plan:
    """Three fake stages: x -> a -> b -> y."""
    return load_plan(fake_plan)


def test_a_plan_survives_the_disk(plan: Plan, tmp_path: Path) -> None:
    """What was saved is what is loaded, by folder and by file name."""
    path = save_plan(plan, tmp_path)
    assert load_plan(tmp_path) == load_plan(path) == plan
    assert not list(tmp_path.glob("*.part"))


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


def test_a_plan_changed_by_hand_is_refused(plan: Plan, tmp_path: Path) -> None:
    """The digest in the file must be that of the rest."""
    data = {**plan_to_json(plan), "digest": plan.digest}
    assert plan_from_json(data) == plan
    with pytest.raises(InputError, match="was changed after it was written"):
        plan_from_json({**data, "model": "another"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "not a plan of format 1"),
        ({"stages": []}, "0 stages and 4 cuts"),
        ({"cuts": [["x"], ["y"]]}, "3 stages and 2 cuts"),
        ({"cuts": [["x"], ["a"], ["nobody"], ["y"]]}, "does not describe nobody"),
        ({"outputs": ["z"]}, "does not describe z"),
        ({"tensors": 7}, "damaged"),
        ({"tensors": [{"name": "x", "dtype": "float31", "shape": [1]}]}, "not a tensor description"),
        ({"stages": [{"file": "../../etc/passwd"}]}, "not a plain file name"),
        ({"stages": [{"file": "a.onnx"}]}, "damaged"),
        ({"candidates": ["fast"]}, "damaged"),
        ({"profiles": 3}, "damaged"),
        ({"input": "picture"}, "damaged"),
    ],
)
def test_a_damaged_plan_is_named_as_such(plan: Plan, change: dict[str, Any], says: str) -> None:
    """Whatever is wrong with a plan, one sentence says so and what to do."""
    with pytest.raises(InputError, match=says):
        plan_from_json({**plan_to_json(plan), **change})


@pytest.mark.parametrize("data", [None, [], "plan", 3])
def test_what_is_no_object_is_no_plan(data: Any) -> None:
    """Any JSON but an object is refused."""
    with pytest.raises(InputError, match="not a plan"):
        plan_from_json(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(found for key, value in inner for found in _paths(value, (*path, key)))]


_MNIST = plan_to_json(load_plan(model_folder("mnist")))


@settings(max_examples=300)
@given(st.sampled_from(_paths(_MNIST)[1:]), _JSON)
def test_no_damage_to_a_plan_ends_in_anything_but_a_sentence(path: tuple[Any, ...], junk: Any) -> None:
    """Any value anywhere in a plan replaced by anything: it is a plan still, or refused with an InputError."""
    data = json.loads(json.dumps(_MNIST))
    at = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = junk
    with suppress(InputError):
        assert isinstance(plan_from_json(data), Plan)


def test_a_missing_plan_says_how_to_make_one(tmp_path: Path) -> None:
    """An empty folder is answered with the command that fills it."""
    with pytest.raises(InputError, match="partway plan MODEL --out"):
        load_plan(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "[" * 100_000])
def test_a_file_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    """Truncated, binary or bottomless files are refused by name."""
    (tmp_path / PLAN_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"plan\.json"):
        load_plan(tmp_path)


def test_stage_files_are_checked_when_read(fake_plan: Path, plan: Plan) -> None:
    """A stage file is read as it was sliced, or not at all."""
    stage = plan.stages[0]
    assert hashlib.sha256(read_stage(fake_plan, stage)).hexdigest() == stage.digest
    (fake_plan / stage.file).write_bytes(b"other")
    with pytest.raises(InputError, match="digest differs"):
        read_stage(fake_plan, stage)
    (fake_plan / stage.file).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_stage(fake_plan, stage)


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
    assert calls.count("hash") == 2 and calls.count("parse") == 2
