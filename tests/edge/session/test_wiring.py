"""Wiring: clouds, trial frames and the pipeline are one run, on one stream, and end together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.affine import STAGES, affine_chain, assert_each_answered_once, samples, then_all
from tests.support.wired import HOME, LINK, SPLIT, OneFakeCloud, decided, wired

from partway.edge.decision import audit
from partway.edge.options import Options
from partway.edge.pipeline.encoder import Encoder
from partway.edge.session.start.startup import Opened, Reached
from partway.edge.session.wiring import known_clouds, pipeline, trial_runner
from partway.edge.transport import failover
from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.fake import FakeCloud
from partway.engines.fake import FakeEngine
from partway.partitioner.decide.estimate import Candidate


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud(affine_chain())


def opened_with(cloud: FakeCloud, address: str | None, search: Any = None, embedded: str | None = None) -> Opened:
    """What a start found: a cloud at this address, or none."""
    client: Any = SimpleNamespace(address=address, access=OPEN, timeout_s=1.0, loop=None)
    reached = None if address is None else Reached(client, None, address)  # type: ignore[arg-type]
    nothing: Any = None
    return Opened(FakeEngine(), cloud.chain, samples(1)[0], nothing, reached, search, embedded)


def test_trial_frames_and_the_run_share_one_stream(cloud: FakeCloud, stack: ExitStack) -> None:
    """The connection that was measured is the one that frames use."""
    clouds: Any = OneFakeCloud(cloud)
    encoder = Encoder(cloud.chain.plan)
    trial = trial_runner(opened_with(cloud, None), encoder, clouds)
    assert (trial.window, trial.batch) == (1, 1)
    (tried,) = trial.run(samples(1), lambda: SPLIT, first_id=-1)
    made = pipeline(encoder, trial, clouds, decided(), Options("affine"), stack)
    answers = list(made.answers(samples(5)))
    assert {result.answered_by for result in [tried, *answers]} == {"cloud"}
    assert (clouds.streams, cloud.received) == (1, 6)


def test_answers_come_in_order_from_the_first_id_on(cloud: FakeCloud, stack: ExitStack) -> None:
    """Ids go on from those of an earlier call."""
    answers = wired(cloud, stack, OneFakeCloud(cloud)).pipeline.answers
    assert_each_answered_once(list(answers(samples(5))), 5)
    assert [result.id for result in answers(samples(3), 5)] == [5, 6, 7]


def test_without_a_cloud_the_device_answers(cloud: FakeCloud, stack: ExitStack) -> None:
    """No cloud is looked after, nothing is audited, and the choice does not change."""
    ready = wired(cloud, stack, None, decided(HOME), audit=1.0)
    results = list(ready.pipeline.answers(samples(3)))
    assert {(result.answered_by, result.cut) for result in results} == {("device", STAGES)}
    assert (ready.pipeline.audits, list(ready.pipeline.controller.changes)) == ({}, [])


@pytest.mark.parametrize(
    ("split", "chosen", "measured", "looks"),
    [
        ("auto", SPLIT, True, True),
        ("auto", HOME, True, True),
        ("1", SPLIT, True, True),
        ("device", HOME, True, False),
        ("auto", HOME, False, False),
    ],
)
def test_clouds_are_looked_after_where_frames_may_go_there(
    split: str, chosen: Candidate, measured: bool, looks: bool, cloud: FakeCloud, stack: ExitStack
) -> None:
    """Not where the device was asked for, or a link was asked for on which it is best."""
    clouds = OneFakeCloud(cloud)
    ready = wired(cloud, stack, clouds, decided(chosen, measured), split=split)
    assert clouds.watched == ([(ready.pipeline.controller, LINK)] if looks else [])


def test_a_lost_cloud_costs_no_frame(stack: ExitStack) -> None:
    """The device goes on alone, and the change is recorded with its reason."""
    chain = affine_chain()
    cloud = FakeCloud(chain, lambda cloud: cloud.answer() and None if cloud.received < 3 else cloud.lose("gone"))
    ready = wired(cloud, stack, OneFakeCloud(cloud))
    results = list(ready.pipeline.answers(samples(8)))
    assert_each_answered_once(results, 8)
    assert [result.answered_by for result in results][:2] == ["cloud"] * 2
    assert results[-1].answered_by == "device"
    (change,) = ready.pipeline.controller.changes
    assert (change.before, change.after) == (SPLIT, HOME)


def test_options_reach_the_runner(cloud: FakeCloud, stack: ExitStack) -> None:
    """Window, batch, order and deadline; without a window the controller adapts it."""
    ready = wired(cloud, stack, OneFakeCloud(cloud), window=3, batch=2, in_order=False, deadline_s=0.5)
    runner = ready.pipeline.runner
    assert (runner.window, runner.batch, runner.in_order, runner.deadline_s) == (3, 2, False, 0.5)
    assert not ready.pipeline.controller.adapts_window
    assert wired(cloud, stack, OneFakeCloud(cloud)).pipeline.controller.adapts_window


def test_frames_of_a_batch_share_a_request(stack: ExitStack) -> None:
    """Five frames by two are three requests."""
    cloud = FakeCloud(affine_chain(), lambda _: None)
    ready = wired(cloud, stack, OneFakeCloud(cloud), window=64, batch=2)
    assert_each_answered_once(list(ready.pipeline.answers(then_all(samples(5), cloud))), 5)
    assert cloud.received == 3


def test_the_end_of_a_run_closes_its_stream_and_auditor(cloud: FakeCloud) -> None:
    """Nothing that was wired goes on by itself."""
    with ExitStack() as stack:
        ready = wired(cloud, stack, OneFakeCloud(cloud), audit=0.5)
        list(ready.pipeline.answers(samples(2)))
        assert [thread for thread in threading.enumerate() if thread.name == "audit"]
        assert not cloud.closed
    assert cloud.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "audit"]


def test_audits_ask_the_cloud_in_use(cloud: FakeCloud, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Address and access are asked for each time, since another cloud may be in use by then."""
    given: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        audit, "Auditor", lambda *them: given.append(them) or SimpleNamespace(
            close=lambda: None, withdrawals=tuple, offer=lambda group: None, tallies={}
        ),
    )  # fmt: skip
    clouds = OneFakeCloud(cloud)
    wired(cloud, stack, clouds, audit=0.25)
    ((_, share, agreement, address, _, withdraws, access),) = given
    assert (share, agreement, withdraws, address(), access()) == (0.25, 0.99, True, "fake:1", OPEN)
    clouds.address, clouds.access = "other:2", Access("another-token")
    assert (address(), access()) == ("other:2", Access("another-token"))


def test_known_clouds_are_those_that_were_named(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one in use first; a word (auto, embedded) names none, and without a cloud there are none."""
    seen: list[str] = []
    monitor = SimpleNamespace(status=None, probes=[], dismiss=lambda: None, close=lambda: None)
    monkeypatch.setattr(failover, "CloudMonitor", lambda address, *_: seen.append(address) or monitor)
    assert known_clouds(opened_with(cloud, None), Options("affine", cloud="none")) is None
    for named, expected in (("a:1,b:1,c:1", ["b:1", "a:1", "c:1"]), ("embedded", ["b:1"])):
        clouds = known_clouds(opened_with(cloud, "b:1"), Options("affine", cloud=named))
        assert clouds is not None
        clouds.watch(wired_use(), LINK)
        assert (clouds.address, seen) == ("b:1", expected)
        seen.clear()


def wired_use() -> Any:
    """Who sends frames; idle."""
    return SimpleNamespace(idle=lambda: True, relinked=lambda link: None, reach=lambda: None)
