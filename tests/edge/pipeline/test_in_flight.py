"""Whatever a cloud does, every frame is answered exactly once, in order, with its own answer."""

from collections.abc import Callable

from hypothesis import event, given
from hypothesis import strategies as st
from tests.support.affine import STAGES, affine_chain, assert_each_answered_once, runner_on, samples, then_all

from partway.edge.transport.fake import FakeCloud
from partway.partitioner.decide.estimate import Candidate
from partway.proto.frame import Durations, Frame, Reply, encode_reply

Deed = Callable[[FakeCloud, int], None]


def _answer(cloud: FakeCloud, choice: int) -> None:
    if cloud.waiting:
        cloud.answer(choice % len(cloud.waiting))


def _answer_twice(cloud: FakeCloud, choice: int) -> None:
    if cloud.waiting:
        cloud.deliver(cloud.answer(choice % len(cloud.waiting)))


def _refuse(cloud: FakeCloud, choice: int) -> None:
    if cloud.waiting:
        cloud.refuse("not today", choice % len(cloud.waiting))


def _answer_nothing(cloud: FakeCloud, choice: int) -> None:
    if cloud.waiting:
        frame = cloud.waiting.pop(choice % len(cloud.waiting))
        cloud.deliver(encode_reply(Reply(Frame(frame.header, frame.id, ()), Durations())))


def _stranger(cloud: FakeCloud, choice: int) -> None:
    if cloud.waiting:
        right = cloud.answer_to(cloud.waiting[0])
        cloud.deliver(encode_reply(Reply(Frame(right.header, str(1000 + choice), right.raw), Durations())))


def _noise(cloud: FakeCloud, choice: int) -> None:
    cloud.deliver(choice.to_bytes(4, "little") * 3)


def _lose(cloud: FakeCloud, choice: int) -> None:
    cloud.lose()


DEEDS: list[Deed] = [_answer, _answer_twice, _refuse, _answer_nothing, _stranger, _noise, _lose]


@given(
    script=st.lists(st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 9)), max_size=4), max_size=16),
    splits=st.lists(st.integers(0, STAGES), min_size=1, max_size=4),
    count=st.integers(0, 16),
    window=st.integers(1, 5),
    batch=st.integers(1, 4),
    goes_silent=st.booleans(),
)
def test_any_interleaving_answers_each_frame_once_and_in_order(
    script: list[list[tuple[Deed, int]]], splits: list[int], count: int, window: int, batch: int, goes_silent: bool
) -> None:
    """Answers in any order, twice, refused, empty, foreign, garbled, a loss or silence: none is lost or doubled."""
    scenes = iter(script)

    def act(cloud: FakeCloud) -> None:
        assert len(cloud.waiting) <= window
        for deed, choice in next(scenes, [(_answer, 0)]):
            deed(cloud, choice)

    cloud = FakeCloud(affine_chain(), act)
    runner = runner_on(cloud, window=window, batch=batch)
    asked = iter(splits * 16)
    frames = samples(count)
    results = list(
        runner.run(frames if goes_silent else then_all(frames, cloud), lambda: Candidate(next(asked), "raw"))
    )
    assert_each_answered_once(results, count)
    event(f"lost: {runner.lost is not None}")
    event(f"answered by: {sorted({result.answered_by for result in results})}")
