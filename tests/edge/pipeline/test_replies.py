"""From a reply to results: whose outputs they are, what each part took, and replies that do not fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.affine import STAGES, affine_chain, samples
from tests.support.served import served

from partway.edge.pipeline.in_flight import FrameGroup
from partway.edge.pipeline.replies import MOST_RETRY_S, ReplyDecoder, Times, retry_s
from partway.edge.pipeline.result import FrameResult
from partway.edge.sources.files import Sample
from partway.errors import InputError, PartwayError
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto.codecs.packing import pack
from partway.proto.codecs.registry import RAW
from partway.proto.frame import Durations, Frame, Reply
from partway.proto.header import Header, TensorHead
from partway.proto.tensors import TensorSpec
from partway.tasks.interface import Geometry

Array = np.ndarray[Any, Any]
CHAIN = affine_chain()
SPLIT = Candidate(1, "raw")
PICTURE = Path("b.png")
TIMES = Times(link_s=0.04, queue_s=0.03, decode_s=0.02, suffix_s=0.01)


def group_of(count: int = 1, **fields: Any) -> FrameGroup:
    """So many frames that travel together."""
    known = {"live": {}, "begun_s": 1.0, "prefix_s": 0.5, "encode_s": 0.25, "bytes_sent": 1000, **fields}
    return FrameGroup(10, samples(count), SPLIT, **known)


def reply_with(codec: str = RAW, **outputs: Array) -> Reply:
    """A reply that holds these outputs."""
    packed = [pack(codec, name, array) for name, array in outputs.items()]
    header = Header("affine", (), tuple(head for head, _ in packed))
    return Reply(Frame(header, "10", tuple(data for _, data in packed)), Durations())


def results_of(group: FrameGroup, outputs: dict[str, Array], *others: Any, **named: Any) -> list[FrameResult]:
    """The results of a group with these outputs."""
    replies = ReplyDecoder(CHAIN)
    return list(replies.results(group, outputs, replies.answers(group, outputs), *others, **named))


def scores(count: int = 1) -> Array:
    """ReplyDecoder of the affine model, each different."""
    return np.arange(2 * count, dtype=np.float32).reshape(count, 2)


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [
        ((), 0.0),
        ((("partway.retry_ms", 250),), 0.25),
        ((("partway.retry_ms", 0),), 0.0),
        ((("partway.retry_ms", -5),), 0.0),
        ((("partway.retry_ms", 10**12),), MOST_RETRY_S),
        ((("partway.retry_ms", "soon"),), 0.0),
        ((("partway.retry_ms", 250.0),), 0.0),
        ((("other", 250),), 0.0),
    ],
)
def test_a_full_cloud_says_for_how_long_it_wants_no_frames(hint: Any, seconds: float) -> None:
    """In milliseconds, as a whole number; anything else says nothing, and no cloud is spared for ever."""
    assert retry_s(Reply(Frame(Header("m", hint), "1", ()), Durations(), "full")) == seconds


@pytest.mark.parametrize("count", [1, 3])
def test_outputs_are_those_of_the_reply(count: int) -> None:
    """Read by name and type from the bytes, for one frame and for several."""
    found = ReplyDecoder(CHAIN).outputs(group_of(count), reply_with(y=scores(count)), grouped=count > 1)
    assert list(found) == ["y"]
    np.testing.assert_array_equal(found["y"], scores(count))


def test_outputs_that_the_prefix_made_are_taken_from_it() -> None:
    """An output before the cut never travels; what the cloud sends of it all the same goes before."""
    specs = tuple(TensorSpec(name, "float32", (None, 2)) for name in ("early", "late"))
    chain = served("two", dict, (TensorSpec("x", "float32", (None, 2)),), specs).chain
    answers, group = ReplyDecoder(chain), group_of(live={"early": scores(), "other": scores()})
    found = answers.outputs(group, reply_with(late=scores() + 7), grouped=False)
    assert list(found) == ["early", "late"]
    np.testing.assert_array_equal(found["early"], scores())
    both = answers.outputs(group, reply_with(late=scores(), early=scores() + 1), grouped=False)
    np.testing.assert_array_equal(both["early"], scores() + 1)


@pytest.mark.parametrize(
    "reply",
    [
        reply_with(),
        reply_with(z=scores()),
        reply_with(y=scores().astype(np.float64)),
        reply_with(y=np.zeros((1, 3), np.float32)),
        reply_with(y=np.zeros(2, np.float32)),
        reply_with("fp16", y=scores()),
        Reply(Frame(Header("affine", (), (TensorHead("y", "FP32", (1, 2)),)), "10", (b"short",)), Durations()),
        Reply(Frame(Header("affine", (), (TensorHead("y", "FP32", (1, 2)),)), "10", ()), Durations()),
        Reply(Frame(Header("affine", (), (TensorHead("y", "BYTES", (1,)),)), "10", (b"1234",)), Durations()),
        Reply(Frame(Header("affine", (), (TensorHead("y", "FP32", (-1, 2)),)), "10", (b"",)), Durations()),
    ],
    ids=["empty", "stranger", "type", "width", "axes", "coded", "short", "without bytes", "bytes", "negative"],
)
def test_a_reply_that_does_not_fit_the_plan_is_an_error(reply: Reply) -> None:
    """Each of the errors that the runner takes for a bad answer; the next good one is read as before."""
    answers = ReplyDecoder(CHAIN)
    for _ in range(2):
        with pytest.raises((PartwayError, KeyError, ValueError)):
            answers.outputs(group_of(), reply, grouped=False)
    np.testing.assert_array_equal(answers.outputs(group_of(), reply_with(y=scores()), False)["y"], scores())


@pytest.mark.parametrize("answered", [0, 1, 2, 4])
def test_a_group_needs_as_many_answers_as_frames(answered: int) -> None:
    """Too few and too many are refused, so that no frame gets another's answer."""
    with pytest.raises(ValueError, match="expected the answers of 3 frames"):
        ReplyDecoder(CHAIN).outputs(group_of(3), reply_with(y=scores(answered)), grouped=True)


@pytest.mark.parametrize("rows", [0, 5])
def test_a_frame_alone_may_have_any_number_of_rows(rows: int) -> None:
    """A detector finds nothing or several things: the first axis of an answer to one frame is its own."""
    found = ReplyDecoder(CHAIN).outputs(group_of(), reply_with(y=scores(rows)), grouped=False)
    assert found["y"].shape == (rows, 2)


@given(st.integers(1, 8), st.integers(0, 10_000), st.integers(0, 10_000))
def test_every_frame_of_a_group_gets_its_own_answer_and_share(count: int, sent: int, received: int) -> None:
    """Ids go up from the first, names are the samples', bytes are shared, and times are everybody's."""
    group = group_of(count, bytes_sent=sent)
    results = results_of(group, {"y": scores(count)}, "cloud", TIMES, received, missed=False)
    assert [result.id for result in results] == list(range(10, 10 + count))
    assert [result.name for result in results] == [sample.name for sample in group.samples]
    for index, result in enumerate(results):
        np.testing.assert_array_equal(result.outputs["y"], scores(count)[index : index + 1])
        assert result.bytes_sent == sent // count
        assert result.bytes_received == received // count
        assert result.total_s == pytest.approx(0.85)


def test_a_result_has_all_that_is_known_of_its_frame() -> None:
    """Candidate, parts of the time, who answered, whether it was missed, and what the answer means."""
    outputs = {"y": np.array([[0.0, 100.0]], np.float32)}
    (result,) = results_of(group_of(), outputs, "device", TIMES, 7, missed=True)
    assert (result.cut, result.codec, result.answered_by, result.missed) == (1, "raw", "device", True)
    parts = (result.prefix_s, result.encode_s, result.link_s, result.queue_s, result.decode_s, result.suffix_s)
    assert parts == (0.5, 0.25, 0.04, 0.03, 0.02, 0.01)
    assert result.total_s == pytest.approx(sum(parts))
    assert (result.bytes_sent, result.bytes_received) == (1000, 7)
    assert result.top == (("yes", 1, 1.0), ("no", 0, pytest.approx(0.0, abs=1e-30)))


def test_a_frame_that_nobody_answered_has_no_outputs() -> None:
    """A result all the same, for whoever counts frames."""
    (result,) = results_of(group_of(), {}, "nobody", Times(), 0, missed=True)
    assert (dict(result.outputs), result.top, result.answered_by) == ({}, (), "nobody")


def test_an_answer_is_that_of_the_whole_chain() -> None:
    """What a cloud computed of a prefix and what the device computes alone are read to the same labels."""
    (sample,) = samples(1)
    right = CHAIN.run(sample.tensors(None), 0, STAGES)
    answers, group = ReplyDecoder(CHAIN), replace(group_of(), samples=[Sample("it", values=sample.values)])
    outputs = answers.outputs(group, reply_with(y=right["y"]), grouped=False)
    (by_cloud,) = results_of(group, outputs, "cloud", TIMES, 0, False)
    (by_device,) = results_of(group, CHAIN.answer(right), "device", Times(), 0, False)
    assert by_cloud.top == by_device.top
    assert by_cloud.name == "it"


class Broken:
    """A task that fails so."""

    name = "broken"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def decode(self, outputs: Any, geometry: Any) -> Any:
        raise self.error


def broken(error: Exception) -> ReplyDecoder:
    """The decoder of a plan whose task fails so."""
    replies = ReplyDecoder(CHAIN)
    replies._reader.task = replies.task = Broken(error)  # type: ignore[assignment]
    return replies


def test_outputs_of_the_device_that_its_task_cannot_read_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The frame keeps its outputs and has no answer; the task's own exception reaches nobody."""
    replies = broken(IndexError("index 7 is out of bounds"))
    assert [replies.answers_here(group_of(2), {"y": scores(2)}) for _ in range(3)] == [[None, None]] * 3
    (warning,) = caplog.messages
    assert "task broken cannot read an answer" in warning
    (result, _) = replies.results(group_of(2), {"y": scores(2)}, [None, None], "device", TIMES, 0, missed=False)
    assert (result.answer, result.top, list(result.outputs)) == (None, (), ["y"])


def test_a_task_that_does_not_fit_its_model_ends_the_run() -> None:
    """It would fit no frame; its sentence says what to do."""
    with pytest.raises(InputError, match="give another --task"):
        broken(InputError("give another --task")).answers_here(group_of(), {"y": scores()})


def test_an_answer_of_the_cloud_that_cannot_be_read_is_refused() -> None:
    """The runner then finishes the frame on the device."""
    with pytest.raises(IndexError):
        broken(IndexError("no")).answers(group_of(), {"y": scores()})


def test_a_result_has_the_original_picture_of_its_sample() -> None:
    """Where the source kept it; nothing otherwise."""
    group = replace(group_of(2), samples=[Sample("a"), Sample("b", original=PICTURE)])
    assert [result.picture for result in results_of(group, {"y": scores(2)}, "cloud", TIMES, 0, False)] == [
        None,
        PICTURE,
    ]


def test_a_tensor_of_another_size_is_its_own_picture() -> None:
    """A plan may serve several sizes; a task then reads coordinates in the tensor that came."""
    plan = replace(affine_chain().plan, input=Preprocess("x", 32, 48, 3).to_json())
    decoder = ReplyDecoder(Chain(plan, affine_chain().stages))
    other = Sample("a", values={"x": np.zeros((1, 3, 64, 96), np.float32)})
    planned = Sample("b", values={"x": np.zeros((1, 3, 32, 48), np.float32)})
    assert decoder._tensor_geometry(other) == Geometry(96, 64, 96, 64)
    assert decoder._tensor_geometry(planned) is None
    assert decoder._tensor_geometry(Sample("c", np.zeros((32, 48, 3), np.uint8))) is None
