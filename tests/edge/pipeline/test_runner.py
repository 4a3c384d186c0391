"""Every frame is answered exactly once and in order, whatever a fake cloud does."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from tests.support.affine import (
    STAGES,
    affine_chain,
    assert_each_answered_once,
    run_through,
    runner_on,
    samples,
    then_all,
)

from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.in_flight import Watch
from partway.edge.pipeline.runner import HAND_OVER_S, MOST_REASONS, Runner
from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import Arrivals
from partway.edge.transport.fake import FakeCloud, answer_all
from partway.edge.transport.interface import T
from partway.engines.interface import LoadedStage, Outputs
from partway.engines.registry import engine_for
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain, load_chain
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import model_folder
from partway.proto.codecs.packing import pack
from partway.proto.frame import Durations, Frame, Reply, encode_reply
from partway.proto.header import Header
from partway.proto.tensors import TensorSpec, Values


@pytest.mark.parametrize("k", range(STAGES + 1))
@pytest.mark.parametrize("batch", [1, 3])
def test_every_split_gives_the_answers_of_the_whole_chain(k: int, batch: int) -> None:
    """The same answers come at every split and batch, the last partial batch included, and all from the cloud."""
    _, results = run_through(answer_all, 7, k, batch=batch)
    assert_each_answered_once(results, 7)
    assert {(result.cut, result.codec, result.answered_by) for result in results} == {(k, "raw", "cloud")}


def test_frames_share_their_groups_bytes() -> None:
    """Seven frames in batches of three are three requests, and each frame counts its share of the bytes."""
    cloud, results = run_through(answer_all, 7, batch=3)
    assert cloud.received == 3
    assert all(result.bytes_sent > 0 and result.bytes_received > 0 for result in results)


def test_without_a_stream_everything_runs_on_the_device() -> None:
    """A runner without a cloud answers each frame itself, whatever split is asked for."""
    chain = affine_chain()
    runner = Runner(chain, Encoder(chain.plan))
    results = list(runner.run(samples(4), lambda: Candidate(1, "raw")))
    assert_each_answered_once(results, 4)
    assert {(result.cut, result.codec, result.answered_by, result.bytes_sent) for result in results} == {
        (STAGES, None, "device", 0)
    }


def test_a_candidate_without_a_codec_stays_on_the_device() -> None:
    """All on the device sends nothing although a cloud is there."""
    cloud = FakeCloud(affine_chain())
    results = list(runner_on(cloud).run(samples(3), lambda: Candidate(STAGES, None)))
    assert_each_answered_once(results, 3)
    assert cloud.received == 0


def test_replies_out_of_order_are_sorted() -> None:
    """A cloud that answers the newest frame first changes nothing about the order of the results."""

    def backwards(cloud: FakeCloud) -> None:
        if len(cloud.waiting) == 3:
            for _ in range(3):
                cloud.answer(-1)

    _, results = run_through(backwards, 9)
    assert_each_answered_once(results, 9)
    assert {result.answered_by for result in results} == {"cloud"}


def test_a_reply_that_comes_twice_counts_once() -> None:
    """The copy of a reply is ignored."""
    _, results = run_through(lambda cloud: cloud.deliver(cloud.answer()), 5)
    assert_each_answered_once(results, 5)


def _unknown(cloud: FakeCloud) -> None:
    frame = cloud.answer_to(cloud.waiting[0])
    cloud.deliver(encode_reply(Reply(Frame(frame.header, "4711", frame.raw), Durations())))


def _no_number(cloud: FakeCloud) -> None:
    frame = cloud.answer_to(cloud.waiting[0])
    cloud.deliver(encode_reply(Reply(Frame(frame.header, "seven", frame.raw), Durations())))


@pytest.mark.parametrize(
    "noise",
    [_unknown, _no_number, lambda cloud: cloud.deliver(b"\xff\xff\xff"), lambda cloud: cloud.deliver(b"")],
    ids=["unknown id", "id that is no number", "malformed", "empty"],
)
def test_noise_on_the_stream_is_dropped(noise: Callable[[FakeCloud], None]) -> None:
    """A reply nobody waits for, or that cannot be read, costs no frame its answer from the cloud."""

    def noisy(cloud: FakeCloud) -> None:
        noise(cloud)
        answer_all(cloud)

    _, results = run_through(noisy, 4)
    assert_each_answered_once(results, 4)
    assert {result.answered_by for result in results} == {"cloud"}


def _short(cloud: FakeCloud) -> None:
    frame = cloud.answer_to(cloud.waiting[0])
    cloud.waiting.pop(0)
    cloud.deliver(encode_reply(Reply(Frame(frame.header, frame.id, ()), Durations())))


def _other_output(cloud: FakeCloud) -> None:
    frame = cloud.waiting.pop(0)
    head, data = pack("raw", "z", np.zeros((1, 2), np.float32))
    cloud.deliver(encode_reply(Reply(Frame(Header("affine", (), (head,)), frame.id, (data,)), Durations())))


def _coded(cloud: FakeCloud) -> None:
    frame = cloud.waiting.pop(0)
    head, data = pack("fp16", "y", np.zeros((1, 2), np.float32))
    cloud.deliver(encode_reply(Reply(Frame(Header("affine", (), (head,)), frame.id, (data,)), Durations())))


def _no_output(cloud: FakeCloud) -> None:
    frame = cloud.waiting.pop(0)
    cloud.deliver(encode_reply(Reply(Frame(Header("affine"), frame.id, ()), Durations())))


def _wrong_shape(cloud: FakeCloud) -> None:
    frame = cloud.waiting.pop(0)
    head, data = pack("raw", "y", np.zeros((1, 3), np.float32))
    cloud.deliver(encode_reply(Reply(Frame(Header("affine", (), (head,)), frame.id, (data,)), Durations())))


@pytest.mark.parametrize(
    "bad", [_short, _other_output, _no_output, _coded, _wrong_shape, lambda cloud: cloud.refuse("no")]
)
def test_an_answer_that_is_none_is_replaced_by_the_devices_own(
    bad: Callable[[FakeCloud], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, or with missing, foreign or misshapen outputs: the device finishes from the cut and says so once."""
    _, results = run_through(bad, 5, k=2)
    assert_each_answered_once(results, 5)
    assert {(result.answered_by, result.cut) for result in results} == {("device", 2)}
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "finished on the device" in warnings[0].getMessage()


def test_a_group_with_too_few_answers_is_finished_on_the_device() -> None:
    """Three frames were sent as one and two answers came: none of them is believed."""

    def two(cloud: FakeCloud) -> None:
        frame = cloud.waiting.pop(0)
        head, data = pack("raw", "y", np.zeros((2, 2), np.float32))
        cloud.deliver(encode_reply(Reply(Frame(Header("affine", (), (head,)), frame.id, (data,)), Durations())))

    _, results = run_through(two, 6, batch=3)
    assert_each_answered_once(results, 6)
    assert {result.answered_by for result in results} == {"device"}


@pytest.mark.parametrize("rows", [0, 1])
def test_an_answer_that_the_task_cannot_read_is_replaced_by_the_devices_own(
    rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A cloud may send outputs of an open size that hold nothing: one warning, and each frame is finished here."""

    def hollow(cloud: FakeCloud) -> None:
        frame = cloud.waiting.pop(0)
        head, data = pack("raw", "y", np.zeros((rows, 2), np.float32))
        cloud.deliver(encode_reply(Reply(Frame(Header("affine", (), (head,)), frame.id, (data,)), Durations())))

    _, results = run_through(hollow, 3)
    assert {result.answered_by for result in results} == {"cloud" if rows else "device"}
    if not rows:
        assert_each_answered_once(results, 3)
        assert all(result.top for result in results)
    assert [("the answer does not fit" in message) for message in caplog.messages] == [True] * (1 - rows)


def test_reasons_that_change_with_every_frame_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A damaged answer may be damaged otherwise each time."""

    def odd(cloud: FakeCloud) -> None:
        cloud.refuse(f"reason {cloud.received}")

    with caplog.at_level(logging.WARNING):
        _, results = run_through(odd, 40, deadline_s=60.0)
    assert_each_answered_once(results, 40)
    assert sum("reason" in message for message in caplog.messages) == MOST_REASONS


@pytest.mark.parametrize("moment", range(1, 7))
@pytest.mark.parametrize("batch", [1, 2])
def test_the_link_may_be_lost_at_any_moment(moment: int, batch: int) -> None:
    """What was answered before the loss stays the cloud's; what was in flight and all after it is answered here."""

    def until(cloud: FakeCloud) -> None:
        if cloud.received == moment:
            cloud.lose()
        elif len(cloud.waiting) == 2:
            cloud.answer()

    cloud, results = run_through(until, 12, window=3, batch=batch)
    assert_each_answered_once(results, 12)
    assert cloud.received == moment
    assert cloud.closed
    assert results[-1].answered_by == "device"
    assert sum(result.answered_by == "cloud" for result in results) == max(0, moment - 2) * batch


def test_the_loss_is_kept_for_those_who_ask() -> None:
    """After a loss the runner tells what it was."""
    cloud = FakeCloud(affine_chain(), lambda cloud: cloud.lose("pulled the plug"))
    runner = runner_on(cloud)
    list(runner.run(samples(1), lambda: Candidate(1, "raw")))
    assert "pulled the plug" in str(runner.lost)


def test_a_silent_cloud_is_taken_for_lost() -> None:
    """Frames that nobody ever answers are answered here once the cloud has been silent for too long."""
    cloud = FakeCloud(affine_chain(), lambda _: None)
    runner = runner_on(cloud, window=2)
    results = list(runner.run(samples(6), lambda: Candidate(1, "raw")))
    assert_each_answered_once(results, 6)
    assert cloud.received == 2
    assert "no reply" in str(runner.lost)


@pytest.mark.parametrize("window", [1, 2, 5])
def test_no_more_than_a_window_is_in_flight(window: int) -> None:
    """The cloud never holds more frames than the window allows, and it does hold as many."""
    most = []

    def slow(cloud: FakeCloud) -> None:
        most.append(len(cloud.waiting))
        if len(cloud.waiting) == window:
            cloud.answer()

    _, results = run_through(slow, 20, window=window)
    assert_each_answered_once(results, 20)
    assert max(most) == window


def test_results_do_not_wait_for_the_end_of_the_input() -> None:
    """A result is there as soon as its frame is answered, while the input still flows."""
    cloud = FakeCloud(affine_chain())
    asked: list[int] = []

    def endless() -> Iterator[Sample]:
        for index, sample in enumerate(samples(50)):
            asked.append(index)
            yield sample

    results = runner_on(cloud).run(endless(), lambda: Candidate(1, "raw"))
    assert next(results).id == 0
    assert asked == [0]


def test_the_split_may_change_with_every_frame() -> None:
    """The candidate is asked for anew before each frame, and the frame says which split it took."""
    cloud = FakeCloud(affine_chain())
    splits = iter([0, 1, 2, 3, 2, 1, 0])
    results = list(runner_on(cloud).run(samples(7), lambda: Candidate(next(splits), "raw")))
    assert_each_answered_once(results, 7)
    assert [result.cut for result in results] == [0, 1, 2, 3, 2, 1, 0]


def test_the_parts_of_a_frame_add_up() -> None:
    """The total is the sum of the parts, and the cloud's own durations are not counted as link."""

    def slow(cloud: FakeCloud) -> None:
        frame = cloud.answer_to(cloud.waiting.pop(0))
        cloud.deliver(encode_reply(Reply(frame, Durations(1.0, 2.0, 4.0))))

    _, (result,) = run_through(slow, 1)
    assert (result.queue_s, result.decode_s, result.suffix_s) == (1.0, 2.0, 4.0)
    assert result.link_s == 0.0
    own_s = result.read_s + result.waited_s + result.prefix_s + result.encode_s
    assert result.total_s == pytest.approx(own_s + 7.0)


def test_a_classifier_names_what_it_saw() -> None:
    """Each frame has its likeliest classes with labels, best first."""
    _, results = run_through(answer_all, 5)
    for result in results:
        assert {label for label, _, _ in result.top} == {"no", "yes"}
        assert result.top[0][2] >= result.top[1][2]
        assert result.top[0][1] == int(result.outputs["y"].argmax())


def test_tensors_among_pictures_are_sent_as_tensors() -> None:
    """Where pictures travel as pixels, a frame that is no picture travels raw instead of ending the run."""
    chain = affine_chain()
    encoder = Encoder(chain.plan)
    encoder.preprocess = Preprocess("x", 2, 2, 1)
    cloud = FakeCloud(chain)
    runner = Runner(chain, encoder, cloud.open_stream, stall_s=0.0)
    results = list(runner.run(then_all(samples(2), cloud), lambda: Candidate(0, "u8")))
    assert_each_answered_once(results, 2)
    assert {(result.codec, result.answered_by) for result in results} == {("raw", "cloud")}


def test_pixels_are_finished_on_the_device_from_the_picture() -> None:
    """Frames that left as pixels are answered here after a loss, though no tensor had been made of them."""
    folder = model_folder("mnist")
    plan = load_plan(folder)
    chain = load_chain(plan, engine_for(plan.engine, 1), lambda stage: read_stage(folder, stage))
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    whole = chain.answer(chain.run(Sample("p", pixels).tensors(Encoder(plan).preprocess), 0, 3))
    for behaviour, by in ((answer_all, "cloud"), (lambda cloud: cloud.lose(), "device")):
        cloud = FakeCloud(chain, behaviour)
        (result,) = Runner(chain, Encoder(plan), cloud.open_stream).run(
            [Sample("p", pixels)], lambda: Candidate(0, "u8")
        )
        assert result.answered_by == by
        np.testing.assert_allclose(result.outputs["logits"], whole["logits"], rtol=1e-5, atol=1e-6)


@dataclass
class Counting:
    """A stage that counts how often it runs."""

    inner: LoadedStage
    runs: int = 0
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def run(self, values: Values) -> Outputs:
        self.runs += 1
        return self.inner.run(values)


@pytest.mark.parametrize("bad", [lambda cloud: cloud.refuse("no"), lambda cloud: cloud.lose()])
def test_what_was_computed_is_not_computed_again(bad: Callable[[FakeCloud], None]) -> None:
    """A frame that comes back unanswered is finished from its cut: the prefix ran once, and so does the suffix."""
    stages = [Counting(stage) for stage in affine_chain().stages]
    cloud = FakeCloud(Chain(affine_chain().plan, stages), bad)
    assert_each_answered_once(list(runner_on(cloud).run(samples(6), lambda: Candidate(2, "raw"))), 6)
    assert [stage.runs for stage in stages] == [6, 6, 6]


@dataclass(frozen=True)
class Slow:
    """A stage that takes longer than handing it to a thread does."""

    inner: LoadedStage
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def run(self, values: Values) -> Outputs:
        time.sleep(2 * HAND_OVER_S)
        return self.inner.run(values)


def _lagging(cloud: FakeCloud) -> None:
    if len(cloud.waiting) == 2:
        cloud.answer()


class Watching(FakeCloud):
    """Counts what is done meanwhile."""

    handed_over = 0

    def meanwhile(self, work: Callable[[], T]) -> T:
        self.handed_over += 1
        return work()


def test_a_long_prefix_is_handed_over() -> None:
    """Once a prefix is known to take long and frames are in flight, it runs meanwhile; the answers stay the same."""
    first, *rest = affine_chain().stages
    chain = Chain(affine_chain().plan, [Slow(first), *rest])
    cloud = Watching(chain, _lagging)
    results = list(runner_on(cloud).run(then_all(samples(6), cloud), lambda: Candidate(1, "raw")))
    assert_each_answered_once(results, 6)
    assert cloud.handed_over == 5


def test_closing_twice_is_fine() -> None:
    """A runner may be closed again, after a loss for example."""
    cloud = FakeCloud(affine_chain())
    runner = runner_on(cloud)
    runner.close()
    runner.close()
    assert cloud.closed


def test_a_frame_counts_what_it_waited_for_its_turn() -> None:
    """Frames that came by themselves and waited are as old as they say; the deadline counts from when they came."""

    @dataclass
    class Late(Arrivals):
        frames: list[tuple[Sample, float]]

        def ready(self) -> bool:
            return True

        def wait(self, seconds: float) -> None:
            raise AssertionError("there is always something")

        def take(self, most: int) -> list[tuple[Sample, float]] | None:
            return [self.frames.pop(0)] if self.frames else None

    chain, now_s = affine_chain(), time.perf_counter()
    runner = Runner(chain, Encoder(chain.plan))
    runner.deadline_s = 5.0
    read, plain = (replace(sample, read_s=read_s) for sample, read_s in zip(samples(2), (2.0, 0.0), strict=True))
    late = Late([(read, now_s - 4.0), (plain, now_s - 7.0)])
    answered, unanswered = runner.run(late, lambda: Candidate(STAGES, None))
    assert answered.read_s >= 2.0
    assert answered.waited_s == pytest.approx(2.0, abs=0.5)
    assert answered.total_s == pytest.approx(4.0, abs=0.5)
    assert (answered.answered_by, answered.missed) == ("device", False)
    assert (unanswered.answered_by, unanswered.missed) == ("nobody", True)
    assert unanswered.total_s == pytest.approx(7.0, abs=0.5)


@pytest.mark.parametrize(("behind", "most"), [(False, 1), (True, 3)])
def test_more_frames_are_in_flight_only_where_they_wait(behind: bool, most: int) -> None:
    """One at a time as long as the source is slower than that; several where frames wait already."""

    class OneUnlessBehind(Watch):
        def window(self, candidate: Candidate, behind: bool = False) -> int:
            return 3 if behind else 1

    class Live(Arrivals):
        def __init__(self) -> None:
            self.left = samples(9)

        def ready(self) -> bool:
            return True

        def wait(self, seconds: float) -> None:
            raise AssertionError("there is always something")

        def behind(self) -> bool:
            return behind

        def take(self, count: int) -> list[tuple[Sample, float]] | None:
            return [(self.left.pop(0), time.perf_counter())] if self.left else None

    waiting: list[int] = []

    class Lagging(FakeCloud):
        def poll(self, wait_s: float) -> None:
            if wait_s > 0 and self.waiting:
                waiting.append(len(self.waiting))
                self.answer()

    cloud = Lagging(affine_chain(), lambda cloud: None)
    runner = runner_on(cloud, window=64, stall_s=1.0, watch=OneUnlessBehind())
    source = Live()
    source.on_ready = lambda: None
    assert_each_answered_once(list(runner.run(source, lambda: Candidate(1, "raw"))), 9)
    assert max(waiting) == most
