"""The tables of ``partway profile``."""

from typing import Any

import pytest

from partway.cli.show.profile import show_profile
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))


def profile(**more: Any) -> dict[str, Any]:
    """A profile of the shipped model on a machine of that name."""
    times = [0.001] * len(PLAN.stages)
    return {"format": 1, "plan": PLAN.digest, "model": "mnist", "machine": "pi4", "stage_s": times, **more}


def test_stages_and_the_whole_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """With what it was measured with."""
    show_profile(profile(runs=20, spread=0.1, engine="onnx", threads=2, date="2026-01-01"), PLAN, as_json=False)
    printed = capsys.readouterr().out
    assert "mnist on pi4" in printed and "~" not in printed
    assert "whole model 3.00 ms, spread 10%, 20 runs, onnx on 2 threads, 2026-01-01" in " ".join(printed.split())


def test_operators_beyond_the_slowest_are_summed(capsys: pytest.CaptureFixture[str]) -> None:
    """Fifteen by name, the rest in one line."""
    operators = [{"name": f"op{n}", "kind": "Conv", "stage": 0, "time_s": 1e-3 / (n + 1)} for n in range(17)]
    show_profile(profile(operators=operators), PLAN, as_json=False)
    printed = capsys.readouterr().out
    assert "the 15 slowest of 17" in printed and "2 more" in printed
    assert "op14" in printed and "op15" not in printed
