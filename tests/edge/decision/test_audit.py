"""The guard on lossy codecs: when a share of disagreements is no chance, and a real codec that is found out."""

import json
import queue
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.edge.decision.audit import CHANCE, Auditor, falls_short
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.in_flight import FrameGroup
from partway.edge.sources.files import Sample
from partway.edge.transport.access.access import Access
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder


@pytest.mark.parametrize(
    ("agreed", "frames", "required", "bad"),
    [
        (0, 0, 0.99, False),
        (0, 1, 0.99, False),  # one in a hundred times is no proof
        (0, 2, 0.99, True),
        (99, 100, 0.99, False),
        (95, 100, 0.99, False),  # 0.3 % would do as badly
        (94, 100, 0.99, True),
        (990, 1000, 0.99, False),
        (980, 1000, 0.99, False),
        (975, 1000, 0.99, True),
        (99, 100, 1.0, True),  # no drop is allowed at all
        (0, 100, 0.0, False),  # any is
    ],
)
def test_chance_is_told_from_a_codec_that_fell(agreed: int, frames: int, required: float, bad: bool) -> None:
    assert falls_short(agreed, frames, required) is bad


@given(st.integers(1, 300), st.data(), st.floats(0.5, 1.0))
def test_more_disagreement_is_never_better(frames: int, data: Any, required: float) -> None:
    agreed = data.draw(st.integers(1, frames))
    assert falls_short(agreed - 1, frames, required) >= falls_short(agreed, frames, required)


@settings(deadline=None)  # a busy machine takes longer
@given(st.integers(1, 200), st.sampled_from([0.9, 0.99]))
def test_a_codec_that_keeps_its_budget_is_seldom_withdrawn(frames: int, required: float) -> None:
    """The chance of withdrawing it after this many audits, summed over all that could be seen."""
    chance = sum(
        comb(frames, agreed) * required**agreed * (1 - required) ** (frames - agreed)
        for agreed in range(frames + 1)
        if falls_short(agreed, frames, required)
    )
    assert chance < CHANCE


@pytest.mark.parametrize(
    ("agreed", "frames", "bad"), [(99.2, 100, False), (94.9, 100, False), (93.9, 100, True), (1.9999999999, 2, False)]
)
def test_agreements_between_0_and_1_are_summed(agreed: float, frames: int, bad: bool) -> None:
    """F1 of boxes, for example; a part of an answer counts for the codec."""
    assert falls_short(agreed, frames, 0.99) is bad


class Told:
    """What a cloud answers to an audit."""

    def __init__(self, **fields: Any) -> None:
        self.frames, self.agreed, self.classifies, self.relative_error = 1, 1, True, 0.2
        self.agreement = self.weight = 0.0
        self.__dict__ |= fields


def auditor_of(output: dict[str, Any]) -> Auditor:
    """An auditor that is told of audits, of a model with this output."""
    plan = replace(load_plan(model_folder("mnist")), output=output)
    return Auditor(Encoder(plan), 1.0, 0.99, lambda: None, lambda _: 0.01)


def audited(told: Told, times: int, output: dict[str, Any]) -> tuple[str, list[str]]:
    """The line of the report after so many audits, and the reasons of withdrawals."""
    auditor, candidate = auditor_of(output), Candidate(1, "q8")
    for _ in range(times):
        auditor._record(candidate, told)
    auditor.close()
    return str(auditor.tallies[candidate]), [why for _, why in auditor.withdrawals()]


DETECTS = {"kind": "detect"}


@pytest.mark.parametrize(
    ("told", "output", "line", "reason"),
    [
        (Told(agreement=5.0, weight=5.0), DETECTS, "40 of 40 answers agree", ""),
        (Told(agreement=4.0, weight=5.0), DETECTS, "32 of 40 answers agree", "answers agree, the budget asks for 99 %"),
        (Told(frames=0, agreed=0), DETECTS, "no audited frame had an answer to compare", ""),
        (Told(), DETECTS, "40 of 40 answers agree", ""),  # a cloud that sends neither agreement nor weight
        (Told(agreed=0), DETECTS, "0 of 40 answers agree", "0 of 2 audited answers agree"),
        (Told(agreement=0.98, weight=1.0), {}, "39.2 of 40 answers agree", "its relative error is 0.2 over 20 audits"),
        (Told(classifies=False), DETECTS, "mean relative error 0.2 over 40 frames", "its relative error is 0.2"),
    ],
)
def test_codecs_are_withdrawn_by_what_the_task_compares(
    told: Told, output: dict[str, Any], line: str, reason: str
) -> None:
    """Outputs that are off by a fifth cost a detector nothing while its boxes stay; tensors have nothing but values."""
    shown, reasons = audited(told, 40, output)
    assert line in shown
    assert len(reasons) == bool(reason)
    assert reason in "".join(reasons)


def test_frames_with_many_things_count_more() -> None:
    """As in calibration: one lost box of ten is a tenth, in whichever frames they lie."""
    auditor, candidate = auditor_of(DETECTS), Candidate(1, "q8")
    for told in (Told(agreement=9.0, weight=9.0), Told(agreement=0.0, weight=1.0)):
        auditor._record(candidate, told)
    auditor.close()
    assert auditor.tallies[candidate].agreed == pytest.approx(1.8)
    assert list(auditor.withdrawals()) == []


def run(arguments: Sequence[str], tmp_path: Path) -> tuple[dict[str, Any], str]:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "partway.edge", *arguments, "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stderr


@pytest.fixture
def boastful(tmp_path: Path) -> Path:
    """The shipped model with a plan that says of the worst JPEG that it keeps every answer and is tiny."""
    folder = tmp_path / "boastful"
    shutil.copytree(model_folder("mnist"), folder)
    plan = json.loads((folder / "plan.json").read_text())
    honest = next(entry for entry in plan["candidates"] if entry["codec"] == "webp75")
    boast = {"codec": "jpeg1", "bytes_mean": 10.0, "bytes_p95": 10.0, "agreement": 1.0, "accuracy": None}
    kept = [entry for entry in plan["candidates"] if entry["codec"] in ("raw", "fp16")]
    plan["candidates"] = [*kept, honest | boast]
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


@pytest.mark.slow
def test_a_codec_that_breaks_its_promise_is_withdrawn_in_service(boastful: Path, data: Path, tmp_path: Path) -> None:
    digits = str(data / "mnist/t10k-images-idx3-ubyte.gz")
    base = ["--model", str(boastful), "--input", digits, "--frames", "3000", "--cloud", "embedded"]
    told, said = run([*base, "--split", "cloud", "--bandwidth", "50kbps", "--audit", "1", "--max-drop", "0"], tmp_path)
    assert told["plan"]["chosen"]["codec"] == "jpeg1"
    (audit,) = [entry for entry in told["audits"] if entry["codec"] == "jpeg1"]
    assert audit["agreed"] < audit["frames"]
    (change,) = told["changes"]
    assert change["from"] == {"cut": 0, "codec": "jpeg1"}
    assert change["to"]["cut"] == 0
    assert "audited answers agree, the budget asks for 100 %" in change["reason"]
    assert "is withdrawn" in said
    used = [frame["codec"] for frame in told["frames"] if frame["id"] >= change["frame"]]
    assert "jpeg1" not in used
    assert len(told["frames"]) == 3000


@pytest.mark.slow
def test_a_codec_that_was_asked_for_is_told_of_but_kept(boastful: Path, data: Path, tmp_path: Path) -> None:
    digits = str(data / "mnist/t10k-images-idx3-ubyte.gz")
    base = ["--model", str(boastful), "--input", digits, "--frames", "2000", "--cloud", "embedded", "--max-drop", "0"]
    told, said = run([*base, "--split", "cloud", "--codec", "jpeg1", "--audit", "100%"], tmp_path)
    assert not told["changes"]
    assert "falls under its budget" in said
    assert {frame["codec"] for frame in told["frames"] if frame["answered_by"] == "cloud"} == {"jpeg1"}


def test_lossless_codecs_are_not_audited(data: Path, tmp_path: Path) -> None:
    digits = str(data / "mnist/t10k-images-idx3-ubyte.gz")
    base = ["--model", "mnist", "--input", digits, "--frames", "200", "--cloud", "embedded", "--split", "1"]
    told, _ = run([*base, "--codec", "raw", "--audit", "1"], tmp_path)
    assert told["audits"] == []


@pytest.mark.parametrize("share", ["2", "-1%", "much", "101%", ""])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    command = [sys.executable, "-m", "partway.edge", "--model", "mnist", f"--audit={share}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--audit is a share of the frames, for example 1%" in done.stderr


class Unreachable(Access):
    """No channel can be made with it; ``tried`` holds which of them were asked for one."""

    tried: "queue.SimpleQueue[tuple[str, str]]" = queue.SimpleQueue()

    def channel(self, address: str, options: list[tuple[str, Any]], kind: Any) -> Any:
        self.tried.put((self.token, address))
        raise FileNotFoundError("the key is away")


def test_an_audit_reaches_the_cloud_in_use_by_its_own_access() -> None:
    """After a move audits take the new cloud's access; one that cannot be begun does not end the auditing."""
    there = [("first", "127.0.0.1:1")]
    auditor = Auditor(
        Encoder(load_plan(model_folder("mnist"))),
        1.0,
        0.99,
        lambda: there[0][1],
        access=lambda: Unreachable(there[0][0]),
    )
    pixels = np.zeros((28, 28, 1), np.uint8)
    group = FrameGroup(0, [Sample("p", pixels)], Candidate(0, "jpeg75"), {}, 0.0)
    for cloud in (there[0], ("second", "127.0.0.1:2")):
        there[0] = cloud
        auditor.offer(group)
        assert Unreachable.tried.get(timeout=30) == cloud
    auditor.close()
    assert not auditor._thread.is_alive()
