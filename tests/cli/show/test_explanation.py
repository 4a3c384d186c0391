"""What ``partway explain`` prints."""

import json

import pytest

from partway.cli.show.explanation import show_explanation, to_json
from partway.partitioner.decide.estimate import Link
from partway.partitioner.decide.objectives import objective
from partway.partitioner.decide.power import POWERS
from partway.partitioner.explain.explanation import Explanation, Machine, explain
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))


@pytest.fixture
def made() -> Explanation:
    """The shipped model on a slow device and a fast cloud."""
    stages = len(PLAN.stages)
    device, cloud = Machine("slow", (0.1,) * stages), Machine("fast", (0.001,) * stages)
    return explain(PLAN, device, cloud, Link(2e6, 0.04), objective("latency", POWERS["pi4"]), notes=["a note"])


def test_the_table_ends_with_reason_and_notes(made: Explanation, capsys: pytest.CaptureFixture[str]) -> None:
    """All candidates under one title; the chosen one is the first."""
    show_explanation(made, as_json=False)
    printed = capsys.readouterr().out
    assert "mnist: candidates by latency on 2.00 Mbps, 40.0 ms round trip" in printed
    assert printed.count("\n-> ") == 1 and "note: a note" in printed


def test_json_is_one_object(made: Explanation, capsys: pytest.CaptureFixture[str]) -> None:
    """Endless ranges end in null, because JSON has no infinity."""
    show_explanation(made, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(to_json(made)))
    assert printed["crossovers"][-1]["to_bps"] is None
    assert printed["device"]["machine"] == "slow" and printed["notes"] == ["a note"]
