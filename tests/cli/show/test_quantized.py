"""The table of ``partway quantize``."""

import json
from argparse import Namespace
from dataclasses import replace
from typing import Any

import pytest

from partway.cli.show.quantized import show_quantized
from partway.partitioner.calibrate.quantize import INT8, TwinAgreement
from partway.partitioner.plan.plan import StageFile
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.profile.measure import StageTimes
from partway.partitioner.zoo import model_folder

FLOAT = load_plan(model_folder("mnist"))
STAGES: Any = [replace(s, twins={INT8: StageFile("twin.onnx", "0" * 64, s.size_bytes // 2)}) for s in FLOAT.stages]
PLAN = replace(FLOAT, stages=tuple(STAGES))
TIMES = [StageTimes((seconds,) * len(PLAN.stages), 0.0, 9) for seconds in (0.002, 0.001)]
ROWS = [
    TwinAgreement(0, 50, None, None, 0.0),
    TwinAgreement(1, 50, 1.0, 0.99, 0.01),
    TwinAgreement(2, 50, 0.9, None, 0.2),
]


def show(capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    """What is printed."""
    args = Namespace(**{"json": False, "max_drop": 1.0, "out": "folder", **options})
    show_quantized(args, PLAN, PLAN, ROWS, TIMES)
    return capsys.readouterr().out


def test_only_splits_within_the_budget_are_admitted(capsys: pytest.CaptureFixture[str]) -> None:
    """Split 0 runs nothing in int8; split 2 loses ten points of answers."""
    assert show(capsys).count(" yes ") == 2
    assert show(capsys, max_drop=10.0).count(" yes ") == 3


def test_json_has_splits_and_stages(capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes and seconds of both kinds."""
    printed = json.loads(show(capsys, json=True))
    assert [row["agreement"] for row in printed["splits"]] == [None, 1.0, 0.9]
    assert {(row["float_s"], row["int8_s"]) for row in printed["stages"]} == {(0.002, 0.001)}
    assert all(row["int8_bytes"] == row["float_bytes"] // 2 for row in printed["stages"])
