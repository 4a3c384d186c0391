"""Overdue, lost, late, refused, missed: what the runner makes of it, with fake clouds."""

import time
from collections.abc import Callable

import pytest
from tests.support.affine import STAGES, affine_chain, assert_each_answered_once, runner_on, samples

from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.in_flight import Watch
from partway.edge.pipeline.result import FrameResult
from partway.edge.pipeline.runner import MOST_REFUSALS, Runner
from partway.edge.transport.fake import FakeCloud, answer_all
from partway.edge.transport.interface import FrameStream, OnLost, OnReply
from partway.errors import LinkLost
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain


class Expecting(Watch):
    """Expects every answer within 10 ms, and knows that finishing here takes none."""

    def __init__(self, finish_s: float = 0.0) -> None:
        self.late: list[int] = []
        self.seen: list[int] = []
        self.times_opened = 0
        self._finish_s = finish_s

    def expected_s(self, candidate, ahead_bytes):
        return 0.01

    def finish_s(self, k):
        return self._finish_s

    def given_up(self, group, now_s):
        self.late.append(group.first_id)

    def answered(self, group, durations, received_s, size_bytes):
        self.seen.append(group.first_id)

    def opened(self):
        self.times_opened += 1


def _run(runner: Runner, count: int, k: int = 1) -> list[FrameResult]:
    return list(runner.run(samples(count), lambda: Candidate(k, "raw")))


class Fakes:
    """Clouds in a row: when one is lost, the next is there."""

    def __init__(self, *clouds: FakeCloud) -> None:
        self.clouds = list(clouds)
        self.gone: list[str] = []

    def open(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream | None:
        return self.clouds.pop(0).open_stream(on_reply, on_lost) if self.clouds else None

    def lost(self, error: LinkLost) -> None:
        self.gone.append(str(error))

    def reason_to_leave(self) -> LinkLost | None:
        return None


def _runner(clouds: Fakes, watch: Watch | None = None, **options) -> Runner:
    chain = affine_chain()
    return Runner(chain, Encoder(chain.plan), clouds=clouds, watch=watch, **options)


def test_an_overdue_frame_is_finished_from_its_cut_and_a_late_answer_is_dropped():
    """The cloud is silent for a while and then answers everything: each frame counts once, by the device."""
    cloud = FakeCloud(affine_chain(), lambda cloud: None if cloud.received < 3 else answer_all(cloud))
    watch = Expecting()
    results = _run(runner_on(cloud, window=2, watch=watch), 8)
    assert_each_answered_once(results, 8)
    assert [result.cut for result in results[:2]] == [1, 1]
    assert {result.answered_by for result in results} == {"device"}
    assert watch.late == [0, 1]
    assert results[2].cut == STAGES, "a silent cloud is sent nothing more"


def test_a_late_answer_ends_the_silence_and_tells_what_it_took():
    class Lagging(FakeCloud):
        def poll(self, wait_s: float) -> None:
            if self.waiting and asked and watch.late:
                self.answer()

    asked: list[int] = []
    cloud, watch = Lagging(affine_chain(), lambda cloud: None if cloud.received < 2 else answer_all(cloud)), Expecting()
    runner = runner_on(cloud, window=1, watch=watch)
    results = []
    for result in runner.run(samples(8), lambda: Candidate(1, "raw")):
        asked.append(result.id)
        results.append(result)
    assert_each_answered_once(results, 8)
    assert results[-1].answered_by == "cloud"
    assert watch.late == [0]
    assert 0 in watch.seen
    assert runner.lost is None


def test_a_cloud_that_stays_silent_is_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("partway.edge.pipeline.uplink.LOST_S", 0.02)
    cloud = FakeCloud(affine_chain(), lambda _: None)
    runner = runner_on(cloud, window=1, watch=Expecting())

    def slow():
        for sample in samples(8):
            yield sample
            time.sleep(0.01)

    assert_each_answered_once(list(runner.run(slow(), lambda: Candidate(1, "raw"))), 8)
    assert cloud.closed
    assert "no reply" in str(runner.lost)


@pytest.mark.parametrize("moment", [1, 2, 4])
def test_the_next_cloud_takes_what_is_in_flight(moment: int):
    """Two clouds: the first is lost with frames in flight, the second answers them, and nobody falls back."""
    first = FakeCloud(affine_chain(), lambda cloud: cloud.lose() if cloud.received == moment else None)
    second = FakeCloud(affine_chain(), answer_all)
    watch = Expecting(0.01)
    runner = _runner(Fakes(first, second), watch)
    results = _run(runner, 9)
    assert_each_answered_once(results, 9)
    assert {result.answered_by for result in results} == {"cloud"}
    assert second.received == 9
    assert watch.times_opened == 1
    assert runner.lost is None


def test_when_all_are_lost_everything_is_answered_here():
    clouds = Fakes(*(FakeCloud(affine_chain(), lambda cloud: cloud.lose()) for _ in range(3)))
    runner = _runner(clouds, Expecting(0.01))
    results = _run(runner, 6)
    assert_each_answered_once(results, 6)
    assert {result.answered_by for result in results} == {"device"}
    assert len(clouds.gone) == 3
    assert runner.lost is not None


def test_a_cloud_that_refuses_everything_is_left():
    """It may have another version by now: after a few frames the next cloud is asked."""
    no = FakeCloud(affine_chain(), lambda cloud: cloud.refuse("another plan"))
    yes = FakeCloud(affine_chain(), answer_all)
    results = _run(_runner(Fakes(no, yes), Expecting()), 20)
    assert_each_answered_once(results, 20)
    assert no.received == MOST_REFUSALS
    assert [result.answered_by for result in results].count("cloud") == 20 - MOST_REFUSALS


def test_a_cloud_that_is_full_is_spared_for_as_long_as_it_asks():
    """Frames are answered here meanwhile, the cloud is not taken for lost, and afterwards it is asked again."""
    full = FakeCloud(affine_chain(), lambda cloud: cloud.refuse("full", retry_ms=60_000))
    runner = _runner(Fakes(full), Expecting())
    results = _run(runner, 20)
    assert_each_answered_once(results, 20)
    assert (full.received, runner.lost) == (1, None)

    def for_a_moment(cloud: FakeCloud) -> None:
        if cloud.received <= MOST_REFUSALS + 1:
            cloud.refuse("full", retry_ms=1)
        else:
            cloud.answer()

    again = FakeCloud(affine_chain(), for_a_moment)
    runner = _runner(Fakes(again), Expecting())

    def later() -> Candidate:
        time.sleep(0.003)
        return Candidate(1, "raw")

    results = list(runner.run(samples(20), later))
    assert_each_answered_once(results, 20)
    assert runner.lost is None
    assert {result.answered_by for result in results[MOST_REFUSALS + 1 :]} == {"cloud"}


def test_a_deadline_is_met_by_whichever_half_can():
    """A silent cloud and a device that can: no frame is missed. The wire carries what is left of the deadline."""
    sent: list[float] = []

    def note(cloud: FakeCloud) -> None:
        sent.append(float(dict(cloud.waiting[-1].header.parameters)["partway.deadline_ms"]))

    chain = affine_chain()
    cloud = FakeCloud(chain, note)
    watch = Expecting(finish_s=1.0)  # a second to spare for a busy machine
    runner = Runner(chain, Encoder(chain.plan, 2000.0), cloud.open_stream, window=2, watch=watch, deadline_s=2.0)
    results = _run(runner, 4)
    assert_each_answered_once(results, 4)
    assert not any(result.missed for result in results)
    assert all(0 < ms <= 2000 for ms in sent)


def test_what_nobody_can_answer_in_time_is_missed():
    """Finishing here would take longer than the deadline, and the cloud says nothing: missed, not answered."""
    cloud = FakeCloud(affine_chain(), lambda _: None)
    runner = runner_on(cloud, window=1, watch=Expecting(finish_s=5.0), deadline_s=0.05)
    (result,) = _run(runner, 1)
    assert (result.answered_by, result.missed, dict(result.outputs)) == ("nobody", True, {})


def test_an_answer_after_the_deadline_counts_as_missed_and_is_handed_out():
    class Dawdling(FakeCloud):
        def poll(self, wait_s: float) -> None:
            time.sleep(0.03)
            answer_all(self)

    dawdling = Dawdling(affine_chain(), lambda _: None)
    runner = runner_on(dawdling, window=1, stall_s=10.0, watch=Expecting(finish_s=5.0), deadline_s=0.02)
    (result,) = _run(runner, 1)
    assert (result.answered_by, result.missed) == ("cloud", True)


@pytest.mark.parametrize(("in_order", "ids"), [(True, [0, 1, 2, 3]), (False, [1, 0, 3, 2])])
def test_results_come_as_asked(in_order: bool, ids: list[int]):
    """A cloud that answers every second frame first: in the source's order, or as they are answered."""

    def swapped(cloud: FakeCloud) -> None:
        if len(cloud.waiting) == 2:
            cloud.answer(1)
            cloud.answer(0)

    results = _run(runner_on(FakeCloud(affine_chain(), swapped), in_order=in_order), 4)
    assert [result.id for result in results] == ids


@pytest.mark.parametrize("silent", [lambda cloud: None, lambda cloud: cloud.lose()])
def test_a_device_without_all_stages_says_so_in_each_frame(silent: Callable[[FakeCloud], None]):
    chain = affine_chain()
    held = Chain(chain.plan, chain.stages[:1])
    cloud = FakeCloud(chain, silent)
    runner = Runner(held, Encoder(held.plan), cloud.open_stream, stall_s=0.0, window=1, watch=Expecting())
    results = _run(runner, 3)
    assert [(result.id, result.answered_by) for result in results] == [(0, "nobody"), (1, "nobody"), (2, "nobody")]


def test_a_runner_goes_on_with_the_stream_of_another():
    """The stream is opened once; the first runner's end does not close it, and the second has a watch of its own."""
    cloud, first, second = FakeCloud(affine_chain(), answer_all), Expecting(), Expecting()
    clouds = Fakes(cloud)
    trial = _runner(clouds, first)
    assert_each_answered_once(_run(trial, 2), 2)
    runner = Runner(trial.chain, trial.encoder, watch=second, after=trial)
    trial.close()
    assert_each_answered_once(_run(runner, 3), 3)
    assert (first.seen, second.seen, cloud.received, cloud.closed) == ([0, 1], [0, 1, 2], 5, False)
    runner.close()
    assert cloud.closed


def test_a_runner_whose_cloud_was_lost_before_goes_on_without_it():
    """The reason is known to the runner after it, and the next cloud takes over where there is one."""
    clouds = Fakes(FakeCloud(affine_chain(), lambda cloud: cloud.lose()))
    trial = _runner(clouds)
    _run(trial, 1)
    runner = Runner(trial.chain, trial.encoder, after=trial)
    assert runner.lost is trial.lost is not None
    clouds.clouds.append(FakeCloud(affine_chain(), answer_all))
    assert {result.answered_by for result in _run(runner, 4)[1:]} == {"cloud"}
    assert runner.lost is None


def test_a_runner_waits_as_long_as_a_full_cloud_asked_the_one_before():
    """Else its first frames would be refused again."""
    cloud = FakeCloud(affine_chain(), lambda cloud: cloud.refuse("full", retry_ms=60_000))
    trial = runner_on(cloud)
    assert_each_answered_once(_run(trial, 1), 1)
    runner = Runner(trial.chain, trial.encoder, after=trial)
    assert 0 < runner.full_s <= 60
    assert {result.answered_by for result in _run(runner, 3)} == {"device"}
    assert cloud.received == 1
