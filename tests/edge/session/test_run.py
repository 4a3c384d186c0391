"""A run: opened, measured, decided and wired, until it is closed; a lost cloud costs the cloud alone."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import RealCloud, write_fake_plan

from partway.edge.options import Options
from partway.edge.report.terminal import Report
from partway.edge.session import run as run_module
from partway.edge.session.run import Run
from partway.edge.sources.samples import sample_of
from partway.engines.fake import FakeEngine
from partway.errors import InputError, LinkLost
from partway.partitioner.decide.constraints import Constraints, device_bytes
from partway.partitioner.decide.estimate import Link
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan

StartCloud = Callable[..., RealCloud]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plan whose stages take 3 ms each: x (4 kB) -> a (64 B) -> b -> y."""
    return write_fake_plan(tmp_path / "models" / "fake", (1000, 16, 8, 4), 0.003)


@pytest.fixture
def cloud(start_cloud: StartCloud, folder: Path) -> RealCloud:
    """cloud-serve with that plan, in its own process."""
    return start_cloud("--threads", "1", "--models", str(folder.parent))


def options(folder: Path, **given: Any) -> Options:
    """Options of a run of this plan, on the device alone unless a cloud is given."""
    return Options(str(folder), **{"cloud": "none", "threads": 1, **given})


def frames(plan: Plan, count: int) -> Iterator[Any]:
    """Frames of zeros."""
    return (sample_of({"x": [[0.0] * 1000]}, plan, f"frame {index}") for index in range(count))


def test_without_a_cloud_everything_stays_on_the_device(folder: Path) -> None:
    """The header says so, the one candidate is chosen, and frames are answered."""
    out = io.StringIO()
    with Run(options(folder), Report(out)) as run:
        ready = run.open()
        results = list(ready.pipeline.answers(frames(ready.opened.chain.plan, 3)))
    assert [result.answered_by for result in results] == ["device"] * 3
    assert (ready.decision.link, ready.decision.chosen.candidate.codec) == (None, None)
    assert "  cloud  none: everything on the device\n   link  none\n" in out.getvalue()
    assert "model  fake, 3 stages, " in out.getvalue()


def test_an_engine_of_another_pace_may_stand_in(folder: Path) -> None:
    """It is given the device's engine and the plan, once, and is what the run measures and uses."""
    wrapped: list[tuple[str, str]] = []
    slept: list[float] = []

    def paced(engine: Any, plan: Plan) -> Any:
        wrapped.append((engine.name, plan.digest))
        return FakeEngine(version="paced", sleep=slept.append)

    with Run(options(folder), Report(quiet=True), None, paced) as run:
        ready = run.open()
        measured = len(slept)
        list(ready.pipeline.answers(frames(ready.opened.chain.plan, 2)))
    assert ready.opened.engine.version == "paced"
    assert wrapped == [("fake", load_plan(folder).digest)]
    assert measured > 0
    assert len(slept) == measured + 2 * 3


def test_a_cloud_is_measured_and_tried(cloud: RealCloud, folder: Path) -> None:
    """The link is measured, trial frames went through, and the cloud answers over the same stream."""
    out = io.StringIO()
    with Run(options(folder, cloud=cloud.address, split="1", codec="raw"), Report(out)) as run:
        ready = run.open()
        decision = ready.decision
        results = list(ready.pipeline.answers(frames(ready.opened.chain.plan, 4)))
    assert decision.link_measured
    assert any(estimate.measured_s is not None for estimate in decision.estimates)
    assert (decision.chosen.candidate.k, decision.chosen.candidate.codec) == (1, "raw")
    assert [result.answered_by for result in results] == ["cloud"] * 4
    assert f"cloud  {cloud.address}\n" in out.getvalue()
    assert "(measured)" in out.getvalue()


def test_a_link_that_is_asked_for_is_decided_by(cloud: RealCloud, folder: Path) -> None:
    """Nothing is tried; what was not given is as it was measured, and the header has both."""
    out = io.StringIO()
    asked = options(folder, cloud=cloud.address, bandwidth_bps=1e4, rtt_s=0.5)
    with Run(asked, Report(out)) as run:
        decision = run.open().decision
    assert (decision.link, decision.link_measured) == (Link(1e4, 0.5), False)
    assert {estimate.measured_s for estimate in decision.estimates} == {None}
    assert decision.chosen.candidate.codec is None
    assert "(asked for; measured: " in out.getvalue()
    with Run(replace(asked, bandwidth_bps=None), Report(quiet=True)) as run:
        link = run.open().decision.link
    assert link is not None
    assert link.rtt_s == 0.5
    assert link.bandwidth_bps != 1e4


def test_a_codec_that_is_asked_for_may_cost_any_agreement(cloud: RealCloud, folder: Path) -> None:
    """Auto leaves a codec that was not measured to agree; ``--codec`` takes it."""
    for codec, expected in (("auto", {"raw", "zstd"}), ("fp16", {"fp16"})):
        with Run(options(folder, cloud=cloud.address, split="1", codec=codec), Report(quiet=True)) as run:
            decision = run.open().decision
        codecs = {estimate.candidate.codec for estimate in decision.estimates if estimate.candidate.k == 1}
        assert codecs <= expected
        assert decision.chosen.candidate.codec in expected


def test_a_device_without_room_says_what_it_holds(cloud: RealCloud, folder: Path) -> None:
    """Stages that it does not hold cannot be chosen for it."""
    out = io.StringIO()
    room = device_bytes(load_plan(folder), 1)
    small = options(folder, cloud=cloud.address, constraints=Constraints(max_device_bytes=room))
    with Run(small, Report(out)) as run:
        ready = run.open()
        assert len(ready.opened.chain.stages) == 1
        assert ", which holds the first 1\n" in out.getvalue()
        assert all(estimate.candidate.k <= 1 for estimate in ready.decision.estimates)
        assert ready.decision.chosen.candidate.codec is not None


def test_a_cloud_lost_while_it_is_measured_leaves_the_device(
    cloud: RealCloud, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The decision says why; the header is written once, for what is left."""

    def lost(*_: object) -> Link:
        raise LinkLost("the cloud is lost")

    monkeypatch.setattr(run_module, "probe_link", lost)
    out = io.StringIO()
    with Run(options(folder, cloud=cloud.address), Report(out)) as run:
        ready = run.open()
        results = list(ready.pipeline.answers(frames(ready.opened.chain.plan, 2)))
    assert ready.decision.reason == "all on the device: the cloud is lost"
    assert [result.answered_by for result in results] == ["device"] * 2
    assert out.getvalue().count("  cloud  ") == out.getvalue().count("everything on the device") == 1
    assert "the cloud is lost; starting on the device alone" in caplog.text


def test_a_run_that_ends_takes_its_cloud_along(folder: Path) -> None:
    """The embedded cloud no longer listens, also where the caller forgets nothing but ``close``."""
    run = Run(options(folder, cloud="embedded", split="1", codec="raw"), Report(quiet=True))
    address = run.open().opened.embedded
    assert address is not None
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), 5).close()
    run.close()
    with pytest.raises(OSError):
        socket.create_connection((host, int(port)), 5)


def test_a_run_that_cannot_open_closes_what_it_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack is closed by the end of ``with``, whatever was raised."""
    closed: list[str] = []
    run = Run(options(folder), Report(quiet=True))

    def fails(*_: object) -> None:
        run._stack.callback(closed.append, "stack")
        raise InputError("no room")

    monkeypatch.setattr(run_module, "measure", fails)
    with pytest.raises(InputError, match="no room"), run:
        run.open()
    assert closed == ["stack"]
