"""The table of ``partway tiers``."""

import json

import pytest

from partway.cli.show.tiers import show_assignments
from partway.partitioner.decide.tiers import Assignment, BlockRange
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))
FOUND = [
    Assignment((BlockRange("device", "pi", 0, 1, 0.5, 0.0, 0), BlockRange("cloud", "vm", 2, 2, 0.1, 0.2, 3_000_000)))
]


def test_a_tier_that_takes_no_part_has_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    """Each tier has a column, with the stages and the host."""
    show_assignments(PLAN, ["device", "edge", "cloud"], FOUND, as_json=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "0.8000" in line]
    cells = line.replace("│", " ").split()
    assert cells == ["0.8000", "s", "3.0000", "MB", "0-1", "pi", "-", "2-2", "vm"]


def test_json_has_every_range(capsys: pytest.CaptureFixture[str]) -> None:
    """With its times and bytes."""
    show_assignments(PLAN, ["device", "cloud"], FOUND, as_json=True)
    (one,) = json.loads(capsys.readouterr().out)["assignments"]
    assert (one["moved_bytes"], [part["host"] for part in one["ranges"]]) == (3_000_000, ["pi", "vm"])
