"""One decision for all tests of explanations, and the command that explains it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import write_fake_plan
from tests.support.explained import CLOUD, CODECS, DEVICE, LINK, NAMED, SIZES

from partway.cli.commands import explain as explain_command
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.objectives import objective
from partway.partitioner.explain.explanation import Explanation, explain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan, save_plan
from partway.system.arguments import Parser

Run = Callable[..., int]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of three stages whose input was measured as a picture, on disk."""
    made = write_fake_plan(tmp_path_factory.mktemp("explain") / "fake", SIZES, name=NAMED)
    entries = [
        {"k": 0, "codec": codec, "bytes_mean": size, "encode_s": s, "decode_s": s / 3, "agreement": 0.995, "frames": 8}
        for codec, size, s in CODECS
    ]
    save_plan(replace(load_plan(made), candidates=tuple(entries)), made)
    return made


@pytest.fixture(scope="module")
def plan(folder: Path) -> Plan:
    return load_plan(folder)


@pytest.fixture(scope="module")
def made(plan: Plan) -> Explanation:
    """By latency, with fp16 and lossy pictures excluded or not by their agreement."""
    return explain(plan, DEVICE, CLOUD, LINK, objective(), Constraints(max_drop=1.0), ("a note",))


@pytest.fixture
def run(folder: Path, tmp_path: Path, plan: Plan) -> Run:
    """``partway explain`` with both profiles given, and more arguments."""
    for name, stage_s in (("device.json", DEVICE.stage_s), ("cloud.json", CLOUD.stage_s)):
        data = {"format": 1, "plan": plan.digest, "machine": name, "stage_s": stage_s}
        (tmp_path / name).write_text(json.dumps(data), encoding="utf-8")
    profiles = ["--profile", str(tmp_path / "device.json"), "--cloud-profile", str(tmp_path / "cloud.json")]

    def call(*arguments: str, profiled: bool = True) -> int:
        parser = Parser()
        explain_command.add_arguments(parser)
        return explain_command.run(parser.parse_args([str(folder), *(profiles if profiled else []), *arguments]))

    return call
