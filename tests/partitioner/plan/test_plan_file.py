"""Plans in files and from JSON, whole and damaged."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, plan_to_json
from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan, plan_from_json, read_stage, save_plan
from partway.partitioner.zoo import model_folder


def test_a_plan_survives_the_disk(plan: Plan, tmp_path: Path) -> None:
    """What was saved is what is loaded, by folder and by file name."""
    path = save_plan(plan, tmp_path)
    assert load_plan(tmp_path) == load_plan(path) == plan
    assert not list(tmp_path.glob("*.part"))


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
