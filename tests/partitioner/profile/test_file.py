"""The profile's JSON, written and read."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.plan.chain import load_chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan, read_stage, save_plan
from partway.partitioner.profile.file import (
    OVERHEAD,
    OperatorProfile,
    OperatorSeconds,
    load_profile,
    profile_from_json,
    profile_to_json,
    read_profile,
    save_profile,
    stage_seconds,
)
from partway.partitioner.profile.measure import StageTimes, machine_name, measure, sample_values

CONV, REST = (
    OperatorSeconds("conv1", "Conv", 0, 0.25, 1, ("conv1", "relu1")),
    OperatorSeconds(None, OVERHEAD, 2, 0.5, 0),
)
SEEN = OperatorProfile((CONV, REST), 1.5, 9)


@pytest.fixture
def plan(fake_plan: Path) -> Plan:
    """Three stages."""
    return load_plan(fake_plan)


@pytest.fixture
def data(plan: Plan) -> dict[str, Any]:
    """A sound profile of it, as it lies in a file."""
    times = StageTimes((1.0, 2.0, 3.0), 0.1, 7)
    made: dict[str, Any] = json.loads(json.dumps(profile_to_json(times, engine_for("fake"), plan.digest, "fake", SEEN)))
    return made


def test_a_profile_says_what_was_measured_on_what(fake_plan: Path, plan: Plan) -> None:
    """A profile names machine, engine, plan and date, and gives the seconds back as they went in."""
    chain = load_chain(plan, engine_for("fake"), lambda stage: read_stage(fake_plan, stage))
    times = measure(chain, sample_values(chain), budget_s=0.01)
    made = profile_to_json(times, engine_for("fake"), plan.digest, plan.model)
    assert stage_seconds(made, 3) == times.stage_s
    assert made["machine"] == machine_name() != ""
    assert (made["engine"], made["plan"], made["model"]) == ("fake", plan.digest, "fake")
    assert (made["format"], made["runs"], "operators" in made) == (1, times.runs, False)


def test_a_profile_is_read_as_it_was_written(plan: Plan, data: dict[str, Any], tmp_path: Path) -> None:
    """By way of a file, operators included; keys of a later version are ignored."""
    save_profile(tmp_path / "p.json", {**data, "weather": "fine"})
    read = load_profile(tmp_path / "p.json", plan)
    assert (read.stage_s, read.spread, read.runs, read.threads) == ((1.0, 2.0, 3.0), 0.1, 7, 1)
    assert (read.operators, read.model, read.machine) == (SEEN.operators, "fake", machine_name())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": None}, "not a profile"),
        ({"format": "1"}, "not a profile"),
        ({"format": 2}, "has format 2 and this version reads 1; update partway"),
        ({"plan": "0" * 64}, "another plan than fake's"),
        ({"plan": None}, "not a profile"),
        ({"stage_s": None}, "not a profile"),
        ({"stage_s": "123"}, "not a profile"),
        ({"stage_s": ["fast", 1, 2]}, "not a profile"),
        ({"stage_s": [True, 1, 2]}, "not a profile"),
        ({"stage_s": [10**400, 1, 2]}, "not a profile"),
        ({"stage_s": [1.0, 2.0], "operators": []}, "has 2 stages, the plan 3"),
        ({"stage_s": [1.0, 2.0, -1.0]}, "negative or endless"),
        ({"stage_s": [1.0, 2.0, float("nan")]}, "negative or endless"),
        ({"stage_s": [1.0, 2.0, float("inf")]}, "negative or endless"),
        ({"spread": float("nan")}, "negative or endless"),
        ({"machine": 3}, "not a profile"),
        ({"operators": 3}, "operators are damaged"),
        ({"operators": [3]}, "operators are damaged"),
        ({"operators": [{"name": "x"}]}, "operators are damaged"),
        ({"operators": [{"name": "x", "kind": "Conv", "stage": 1.5, "time_s": 1}]}, "operators are damaged"),
        ({"operators": [{"name": "x", "kind": "Conv", "stage": 3, "time_s": 1}]}, "stages that it does not have"),
        ({"operators": [{"name": "x", "kind": "Conv", "stage": 1, "time_s": -1}]}, "negative or endless"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused(plan: Plan, data: dict[str, Any], change: Any, says: str) -> None:
    """One sentence for each way in which a file is no profile of this plan; unchanged, it is one."""
    assert profile_from_json(data, plan)
    with pytest.raises(InputError, match=says) as caught:
        profile_from_json({**data, **change}, plan)
    assert "profile" in str(caught.value) and "\n" not in str(caught.value)


def test_another_number_of_stages_is_refused_without_a_plan_too(data: dict[str, Any]) -> None:
    """As a device does with what a cloud says."""
    with pytest.raises(InputError, match="has 3 stages, the plan 4"):
        stage_seconds(data, 4)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_profile_is_named(plan: Plan, tmp_path: Path, text: bytes) -> None:
    """Whatever it holds, the sentence has its name."""
    path = tmp_path / "bad.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"profile .*bad\.json"):
        load_profile(path, plan)


def test_a_file_that_is_not_there_or_cannot_be_written_is_named(plan: Plan, tmp_path: Path) -> None:
    """The sentence says which."""
    with pytest.raises(InputError, match=r"nowhere\.json"):
        load_profile(tmp_path / "nowhere.json", plan)
    with pytest.raises(InputError, match="give another --out"):
        save_profile(tmp_path / "no" / "where.json", {})
    with pytest.raises(InputError, match="give another --out"):
        save_profile(tmp_path, {})


def test_a_profile_never_replaces_a_plan(tmp_path: Path) -> None:
    """`partway profile net --out net/plan.json` would lose the plan."""
    (tmp_path / "plan.json").write_text("a plan")
    with pytest.raises(InputError, match="is the name of a plan"):
        save_profile(tmp_path / "plan.json", {})
    assert (tmp_path / "plan.json").read_text() == "a plan"


def test_a_busy_machine_is_in_the_file(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """And comes back when the file is read; a quiet one has no such entry."""
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_WAIT", 0.1)
    engine = engine_for("fake")
    quiet, busy = (
        profile_to_json(StageTimes((1.0, 1.0, 1.0), 0.1, 9, waited), engine, plan.digest) for waited in (0.0, 1e12)
    )
    assert "busy" not in quiet and profile_from_json(quiet, plan).busy == ""
    assert profile_from_json(busy, plan).busy.startswith("measured on a busy machine (half of the runs waited")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["format", "plan", "stage_s", "spread", "runs", "threads", "operators", "machine", "date"])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(changes=st.dictionaries(KEYS, JSON, max_size=3))
def test_any_json_is_a_sound_profile_or_one_sentence(changes: dict[str, Any]) -> None:
    """Nothing else ever comes out of reading one."""
    sound = {"format": 1, "plan": "0", "stage_s": [1, 2.5], "operators": []}
    try:
        read = read_profile({**sound, **changes})
    except InputError as error:
        assert "profile" in str(error)
    else:
        assert all(0 <= value < float("inf") for value in read.stage_s)
        assert replace(read) == read


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that runs tests is a busy one; what the limit does has tests of its own."""
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_SPREAD", math.inf)
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_WAIT", math.inf)


def test_another_plans_profile_is_refused(tmp_path: Path, fake_plan: Path) -> None:
    """A profile says whose it is."""
    plan = load_plan(fake_plan)
    data = profile_to_json(StageTimes((1, 2, 3), 0, 5), engine_for("fake"), "0" * 64, "x", OperatorProfile((), 1, 5))
    save_profile(tmp_path / "p.json", data)
    save_plan(plan, tmp_path)
    with pytest.raises(InputError, match="another plan"):
        load_profile(tmp_path / "p.json", plan)
