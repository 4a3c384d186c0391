"""The table of ``partway verify``."""

import json

import pytest

from partway.cli.show.parity import show_parity
from partway.partitioner.plan.parity import Parity
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))
ROWS = [Parity(0, "image", 0.0, True, 2), Parity(1, "pool", 3e-7, False, 2), Parity(2, "fc", 0.5, False, 2)]


def test_each_verdict_has_its_word(capsys: pytest.CaptureFixture[str]) -> None:
    """Bit-equal, within the tolerance, and wrong."""
    show_parity(ROWS, PLAN, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    verdicts = [word for line in lines for word in ("bit-equal", "within 1e-5", "WRONG") if word in line]
    assert verdicts == ["bit-equal", "within 1e-5", "WRONG"]


def test_json_has_every_split(capsys: pytest.CaptureFixture[str]) -> None:
    """One object, with the plan's digest."""
    show_parity(ROWS, PLAN, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["digest"] == PLAN.digest
    assert [split["holds"] for split in printed["splits"]] == [True, True, False]
