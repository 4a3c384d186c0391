"""The object that --json writes."""

import json
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.edge.decision.audit import Tally
from partway.edge.decision.decision import Decision
from partway.edge.decision.ranking import Ranking
from partway.edge.decision.split_controller import Change
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.report.run_json import RunReport
from partway.edge.report.statistics import Results
from partway.partitioner.decide.estimate import Candidate, Estimate, Link
from partway.partitioner.decide.objectives import objective
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.tasks.classify import Classes

PLAN = load_plan(model_folder("mnist"))
SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "edge-run.schema.json").read_text(encoding="utf-8"))
CLOUD, SPLIT, HOME = Candidate(0, "u8", 800, 90), Candidate(1, "raw", 2600, 90), Candidate(3, None)
TRIED = Estimate(SPLIT, 0.01, 0.001, 0.02, 0.0, 0.001, 0.005, 0.04, Estimate(replace(SPLIT, size_bytes=2700), 0.012))
ESTIMATES = (TRIED, Estimate(CLOUD, 0.0, 0.0, 0.05, 0.0, 0.0, 0.01), Estimate(HOME, 0.09))
DECISION = Decision(ESTIMATES, TRIED, "because", Link(1e6, 0.02), True, Ranking(objective(), 0.02), ESTIMATES[2])
CHANGE = Change(7, SPLIT, HOME, "the cloud is lost")


def frame(index: int = 0, by: str = "cloud", **change: Any) -> FrameResult:
    """A frame and what it took."""
    answer = Classes((("seven", 7, 0.9), ("one", 1, float("nan"))))
    made = FrameResult(index, f"{index}.png", 1, "raw", 2600, 90, 0.01, 0.001, 0.02, 0.0, 0.001, 0.005, 0.04, by,
                       {"logits": np.zeros((1, 10))}, answer)  # fmt: skip
    return replace(made, **change)


def new_run_report(*frames: FrameResult, **fields: Any) -> RunReport:
    """A run that answered these frames in two seconds."""
    results = Results()
    for each in frames:
        results.add(each)
    return RunReport(PLAN, "onnx", results=results, wall_s=2.0, **fields)


def checked(run_report: RunReport) -> dict[str, Any]:
    """Its JSON as it is written, valid by the documented schema, and the same piece by piece."""
    written = json.loads("".join(run_report.json_pieces()))
    assert written == json.loads(json.dumps(run_report.to_json()))
    jsonschema.validate(written, SCHEMA, jsonschema.Draft202012Validator)
    return dict(written)


def test_a_run_with_everything_is_valid_and_complete() -> None:
    """Frames, link, changes, audits and the decision are as they happened."""
    audits = {
        SPLIT: Tally(deque([(4, 3.0, 4.0), (4, 4.0, 4.0)]), deque([0.5, 0.1])),
        CLOUD: Tally(deque([(2, 0.0, 2.0)]), deque([0.2]), False),
    }
    made = checked(
        new_run_report(
            frame(),
            frame(1, "device"),
            frame(2, NOBODY, answer=None, outputs={}, missed=True),
            decision=DECISION,
            unreadable=["b.png"],
            notes=("assumed",),
            changes=[CHANGE],
            dropped=4,
            audits=audits,
        )
    )
    assert made["link"] == {"bandwidth_bps": 1e6, "rtt_s": 0.02, "measured": True}
    assert [each["id"] for each in made["frames"]] == [0, 1, 2]
    assert made["changes"] == [
        {"frame": 7, "from": {"cut": 1, "codec": "raw"}, "to": {"cut": 3, "codec": None}, "reason": "the cloud is lost"}
    ]
    assert made["audits"][0] == {"cut": 1, "codec": "raw", "frames": 8, "agreed": 7, "relative_error": 0.3}
    assert made["audits"][1]["agreed"] is None
    counts = {name: made["summary"][name] for name in ("answered", "unanswered", "missed", "dropped", "changes")}
    assert counts == {"answered": 2, "unanswered": 1, "missed": 1, "dropped": 4, "changes": 1}
    assert made["summary"]["unreadable"] == ["b.png"]
    assert made["summary"]["frames_per_s"] == 1.0


def test_the_decision_tells_estimates_and_measurements_apart() -> None:
    """A candidate that was tried has both; one that was not has null, and the score is by the objective."""
    plan = checked(new_run_report(decision=DECISION))["plan"]
    tried, untried, _ = plan["candidates"]
    assert plan["chosen"] == tried
    assert (tried["bytes"], tried["measured"]["bytes"]) == (2600, 2700)
    assert (tried["total_s"], tried["measured_s"]) == (pytest.approx(0.037), 0.04)
    assert (untried["measured"], untried["measured_s"]) == (None, None)
    assert (plan["runner_up"]["cut"], plan["runner_up"]["codec"]) == (3, None)
    assert (plan["objective"], plan["reason"], plan["notes"]) == ("latency", "because", [])
    assert tried["score"] == DECISION.ranking.score(TRIED)


@pytest.mark.parametrize(
    ("samples", "classifies", "agreed"),
    [
        ([(4, 3.0, 4.0), (4, 4.0, 4.0)], True, 7),
        ([(1, 2.5, 5.0), (1, 5.0, 5.0)], True, 1.5),
        ([(0, 0.0, 0.0)], True, 0),
        ([(2, 2.0, 2.0)], False, None),
    ],
)
def test_audits_of_all_tasks_have_what_agreed(samples: Any, classifies: bool, agreed: float | None) -> None:
    """A whole number for classes; of boxes, frames times their mean agreement; null where nothing was compared."""
    audits = {SPLIT: Tally(deque(samples), deque([0.5]), classifies)}
    (made,) = checked(new_run_report(audits=audits, decision=DECISION))["audits"]
    assert made["agreed"] == agreed
    assert made["frames"] == sum(frames for frames, _, _ in samples)


def test_a_run_without_a_link_or_a_rival_has_null_for_them() -> None:
    """What there was not is null, not missing."""
    alone = Decision((ESTIMATES[2],), ESTIMATES[2], "asked for", None, False)
    made = checked(new_run_report(frame(by="device", cut=3, codec=None), decision=alone))
    assert made["link"] is None
    assert made["plan"]["runner_up"] is None


def test_a_run_that_ended_before_a_decision_has_the_plan_alone() -> None:
    """The plan's digest, engine, stages and cuts are known from the start."""
    made = json.loads("".join(new_run_report().json_pieces()))
    assert made["plan"] == {
        "digest": PLAN.digest,
        "engine": "onnx",
        "stages": 3,
        "cuts": [list(cut.values) for cut in PLAN.cuts],
    }
    assert (made["frames"], made["summary"]["answered"]) == ([], 0)


def test_weights_are_named_where_the_plan_does() -> None:
    """A model with random weights says so in its JSON."""
    made = RunReport(replace(PLAN, weights="random, seed 0"), "onnx", decision=DECISION).to_json()
    assert made["plan"]["weights"] == "random, seed 0"
    assert "weights" not in new_run_report(decision=DECISION).to_json()["plan"]


@given(st.integers(0, 12), st.integers(0, 4))
def test_the_pieces_are_the_whole_however_many_frames_there_are(count: int, held: int) -> None:
    """A frame at a time, from memory or from the disk, without a comma too many; no piece holds two frames."""
    results = Results(in_memory=held)
    for index in range(count):
        results.add(frame(index))
    run_report = RunReport(PLAN, "onnx", results=results, decision=DECISION)
    pieces = list(run_report.json_pieces())
    assert len(pieces) == count + 2
    assert json.loads("".join(pieces)) == json.loads(json.dumps(run_report.to_json()))
    assert pieces[-1].endswith("}\n")
