"""A model with state between frames, split: whatever happens to the cloud, the next frame gets the right state."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from tests.support.remembering import SIZE, recurrent_bytes, recurrent_onnx

from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import Sample
from partway.edge.transport.fake import FakeCloud, answer_all
from partway.engines.registry import engine_for
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.slicing import make_plan
from partway.proto.frame import decode_request

Array = np.ndarray[Any, Any]
COUNT = 12
CUTS = ["f+b", "stateN", "c"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A recurrence of four stages; its state is read by the second."""
    folder = tmp_path_factory.mktemp("recurrence")
    plan = make_plan(recurrent_onnx(folder / "model.onnx"), folder / "plan", CUTS)
    return load_folder(folder / "plan", plan, engine_for("onnx"))


FRAMES = [np.random.default_rng(seed).standard_normal((1, SIZE)).astype(np.float32) for seed in range(COUNT)]


def answers(skipped: tuple[int, ...] = (), begins: tuple[int, ...] = ()) -> list[Array | None]:
    """What a plain ONNX Runtime answers, frame by frame, with the state of the frame before."""
    session = ort.InferenceSession(recurrent_bytes())
    state, found = np.zeros((1, SIZE), np.float32), []
    for index, frame in enumerate(FRAMES):
        state = np.zeros_like(state) if index in begins else state
        y, after = session.run(["y", "stateN"], {"x": frame, "state": state})
        found.append(None if index in skipped else y)
        state = state if index in skipped else after
    return found


def frames(begins: tuple[int, ...] = ()) -> list[Sample]:
    return [Sample(str(index), values={"x": frame}, begins=index in begins) for index, frame in enumerate(FRAMES)]


def runner_on(cloud: FakeCloud, **options: Any) -> Runner:
    return Runner(cloud.chain, Encoder(cloud.chain.plan), cloud.open_stream, **{"stall_s": 0.0, **options})


def assert_right(results: list[FrameResult], right: list[Array | None]) -> None:
    assert [result.id for result in results] == list(range(len(right)))
    for result, expected in zip(results, right, strict=True):
        assert (result.answered_by == NOBODY) == (expected is None)
        if expected is not None:
            assert list(result.outputs) == ["y"]  # the state is no part of the answer
            np.testing.assert_allclose(result.outputs["y"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", range(len(CUTS) + 2))
def test_every_split_answers_like_the_model_frame_after_frame(chain: Chain, k: int) -> None:
    """One frame at a time, though the window and the batch allow more."""
    in_flight = []

    def watched(cloud: FakeCloud) -> None:
        in_flight.append(len(cloud.waiting))
        answer_all(cloud)

    cloud = FakeCloud(chain, watched)
    candidate = Candidate(k, "raw" if k < len(CUTS) + 1 else None)
    results = list(runner_on(cloud, window=8, batch=3).run(frames(), lambda: candidate))
    assert_right(results, answers())
    assert set(in_flight) <= {1}


def test_the_split_may_change_with_every_frame(chain: Chain) -> None:
    """The state is where the next frame needs it, whoever made it."""
    splits = itertools.cycle([0, 3, 1, 4, 2])
    candidates = (Candidate(k, "raw" if k < 4 else None) for k in splits)
    results = list(runner_on(FakeCloud(chain)).run(frames(), lambda: next(candidates)))
    assert_right(results, answers())


def test_without_state_carried_the_answers_would_differ(chain: Chain) -> None:
    """So that the tests here can fail."""
    first, second = answers()[:2]
    assert first is not None and second is not None
    apart = answers(begins=tuple(range(COUNT)))[1]
    assert apart is not None and np.abs(apart - second).max() > 0.01


@pytest.mark.parametrize("k", range(4))
@pytest.mark.parametrize("moment", [0, 1, 5])
def test_a_lost_cloud_costs_no_state(chain: Chain, k: int, moment: int) -> None:
    """The device finishes the frame itself from the state it sent, and goes on from there."""

    def losing(cloud: FakeCloud) -> None:
        cloud.lose() if cloud.received > moment else answer_all(cloud)

    results = list(runner_on(FakeCloud(chain, losing)).run(frames(), lambda: Candidate(k, "raw")))
    assert_right(results, answers())
    assert {result.answered_by for result in results[moment:]} == {"device"}


@pytest.mark.parametrize("bad", [lambda cloud: cloud.refuse("no"), lambda cloud: None], ids=["refused", "silent"])
def test_a_frame_that_the_cloud_does_not_answer_keeps_the_sequence(
    chain: Chain, bad: Callable[[FakeCloud], None]
) -> None:
    """Every third frame is refused or never answered: the device finishes it, and the next frame has its state."""

    def behaviour(cloud: FakeCloud) -> None:
        bad(cloud) if cloud.received == 3 else answer_all(cloud)

    results = list(runner_on(FakeCloud(chain, behaviour)).run(frames(), lambda: Candidate(1, "raw")))
    assert_right(results, answers())
    assert results[2].answered_by == "device"


def test_a_frame_that_nobody_answers_leaves_the_state_as_it_was(chain: Chain) -> None:
    """A device with the first stages only: the refused frame might never have been."""
    plan = chain.plan
    device = Chain(plan, chain.stages[:2])

    def behaviour(cloud: FakeCloud) -> None:
        cloud.refuse("no") if cloud.received in (4, 5) else answer_all(cloud)

    cloud = FakeCloud(chain, behaviour)
    runner = Runner(device, Encoder(plan), cloud.open_stream, stall_s=0.0)
    results = list(runner.run(frames(), lambda: Candidate(1, "raw")))
    assert_right(results, answers(skipped=(3, 4)))


def test_an_answer_that_comes_too_late_changes_nothing(chain: Chain) -> None:
    """The device went on without it; its state is not overwritten."""

    def behaviour(cloud: FakeCloud) -> None:
        if cloud.received == 3:
            return
        cloud.answer(-1)
        while cloud.waiting:  # the late one
            cloud.answer()

    runner = runner_on(FakeCloud(chain, behaviour), deadline_s=0.2)
    results = list(runner.run(frames(), lambda: Candidate(1, "raw")))
    late = next(iter([result.id for result in results if result.answered_by != "cloud"]))
    assert late == 2
    skipped = tuple(result.id for result in results if result.answered_by == NOBODY)
    assert_right(results, answers(skipped=skipped))


def test_a_new_sequence_begins_with_the_initial_state(chain: Chain) -> None:
    """Whether in the cloud or here."""
    for k in (0, 4):
        candidate = Candidate(k, "raw" if k < 4 else None)
        results = list(runner_on(FakeCloud(chain)).run(frames(begins=(5,)), lambda chosen=candidate: chosen))  # type: ignore[misc]
        assert_right(results, answers(begins=(0, 5)))


def test_two_runs_are_one_sequence(chain: Chain) -> None:
    """A session's calls go on where the last one ended."""
    runner = runner_on(FakeCloud(chain))
    first = list(runner.run(frames()[:5], lambda: Candidate(1, "raw")))
    second = list(runner.run(frames()[5:], lambda: Candidate(1, "raw"), first_id=5))
    assert_right([*first, *second], answers())


def test_trial_frames_run_on_a_state_of_their_own(chain: Chain) -> None:
    """The pipeline that takes over the stream begins with the initial state."""
    trial = runner_on(FakeCloud(chain))
    list(trial.run(frames()[3:6], lambda: Candidate(1, "raw")))
    runner = Runner(chain, Encoder(chain.plan), stall_s=0.0, after=trial)
    assert_right(list(runner.run(frames(), lambda: Candidate(1, "raw"))), answers())


def test_a_lossy_codec_never_touches_the_state(chain: Chain) -> None:
    """It crosses as it is, beside coded values; where only state crosses, nothing is coded."""
    sent = []

    def keeping(cloud: FakeCloud) -> None:
        sent.append(cloud.waiting[-1])
        answer_all(cloud)

    runner = runner_on(FakeCloud(chain, keeping))
    results = list(runner.run(frames()[:3], lambda: Candidate(0, "q3")))
    heads = [{head.name: head.datatype for head in frame.header.tensors} for frame in sent]
    assert heads == [{"x": "BYTES", "state": "FP32"}] * 3
    assert {result.answered_by for result in results} == {"cloud"}
    assert {name for frame in sent for name in frame_values(chain, 2)} == {"stateN"}


def frame_values(chain: Chain, k: int) -> Iterator[str]:
    """The values that a coded frame at this split sends as they are."""
    encoder = Encoder(chain.plan)
    live = chain.run({"x": FRAMES[0], "state": FRAMES[1]}, 0, k)
    frame = decode_request(encoder.frame("0", k, "q3", frames()[:1], live))
    return (head.name for head in frame.header.tensors if head.datatype != "BYTES")


def test_only_the_state_that_the_cloud_reads_is_sent(chain: Chain) -> None:
    """After the stage that reads it, the state stays on the device."""
    assert [set(cut.values) for cut in chain.plan.cuts[:4]] == [{"x", "state"}, {"f", "b"}, {"stateN"}, {"c"}]


def test_a_frame_may_bring_a_state_of_its_own(chain: Chain) -> None:
    """For a program that carries the state itself; it is then the state of this frame."""
    own = replace(frames()[1], values={"x": FRAMES[1], "state": np.zeros((1, SIZE), np.float32)})
    results = list(runner_on(FakeCloud(chain)).run([frames()[0], own], lambda: Candidate(1, "raw")))
    expected = answers(begins=(1,))[1]
    assert expected is not None
    np.testing.assert_allclose(results[1].outputs["y"], expected, rtol=1e-5, atol=1e-6)
