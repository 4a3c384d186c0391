"""From a frame to its answer, with a clock in hand."""

from dataclasses import replace

import numpy as np
import pytest
from tests.cloud.conftest import small_models

from partway.cloud.answer import FrameRefused, Router, _outputs, answer, refused
from partway.cloud.models.repository import ServedModel
from partway.partitioner.plan.state import StateLink
from partway.proto.frame import Frame, Reply
from partway.proto.header import Header, TensorHead

X = np.arange(4, dtype=np.float32)[None]
HEAD = TensorHead("x", "FP32", (1, 4))


def ask(model: ServedModel, header: Header, received_s: float = 0.0, clock: tuple[float, ...] = (0.0,) * 3) -> Reply:
    """The answer to a frame that came at ``received_s``, by a clock that shows these times one after the other."""
    frame = Frame(header, "7", (X.tobytes(),))
    return answer(Router({model.plan.model: model}).route(header), frame, received_s, iter(clock).__next__)


def test_durations_are_told_apart() -> None:
    """Waiting ends when the frame is begun, decoding when the values are there, the suffix when it has run."""
    reply = ask(small_models()["double"], Header("double", (), (HEAD,)), 10.0, (10.5, 10.75, 12.75))
    assert reply.durations == (0.5, 0.25, 2.0)
    assert (reply.frame.id, reply.error) == ("7", "")
    assert np.frombuffer(reply.frame.raw[0], np.float32).tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(("waited_s", "late"), [(0.049, False), (0.05, False), (0.051, True)])
def test_a_deadline_counts_the_time_a_frame_waited(waited_s: float, late: bool) -> None:
    """50 ms are 50 ms: a frame begun at its deadline is answered, one begun later is not."""
    header = Header("double", (("partway.deadline_ms", 50),), (HEAD,))
    if late:
        with pytest.raises(FrameRefused, match="deadline of 50 ms") as caught:
            ask(small_models()["double"], header, 0.0, (waited_s,) * 3)
        assert caught.value.code == "DEADLINE_EXCEEDED"
    else:
        assert ask(small_models()["double"], header, 0.0, (waited_s,) * 3).durations.queue_s == waited_s


def test_outputs_the_device_has_already_are_not_sent() -> None:
    """An output that the prefix made stays with the device; asked for, it is refused."""
    model = small_models()["double"]
    plan = replace(model.plan, outputs=("y", "early"), tensors={**model.plan.tensors, "early": model.plan.tensors["y"]})
    model = replace(model, plan=plan)
    reply = ask(model, Header("double", (), (HEAD,)))
    assert [head.name for head in reply.frame.header.tensors] == ["y"]
    with pytest.raises(FrameRefused, match="outputs must be among y"):
        ask(model, Header("double", (), (HEAD,), requested=("early",)))


def test_a_header_is_checked_once() -> None:
    """The same header gets the same route; one that differs in type or value gets its own."""
    router = Router(small_models())
    header = Header("double", (("partway.cut", 0),), (HEAD,))
    assert router.route(header) is router.route(replace(header))
    assert router.route(Header("double", (("partway.cut", 0), ("other", 1)), (HEAD,))) is not router.route(header)
    for value in (False, 0.0):
        with pytest.raises(FrameRefused, match=r"partway\.cut must be"):
            router.route(replace(header, parameters=(("partway.cut", value),)))


def test_a_refusal_has_the_frames_id_and_no_tensors() -> None:
    """What goes back in-band is the id, the model's name, shortened, and the sentence."""
    reply = refused("7", "m" * 1000, FrameRefused("NOT_FOUND", "no such model"))
    assert (reply.frame.id, reply.frame.raw, reply.error) == ("7", (), "no such model")
    assert reply.frame.header.model == "m" * 80


def test_state_that_came_with_a_frame_is_not_sent_back() -> None:
    """The device has it. At split 0 the cloud makes it, and sends it."""
    model = small_models()["double"]
    plan = replace(model.plan, outputs=(*model.plan.outputs, "x"), state=(StateLink("x", "x"),))
    later = replace(plan, cuts=(plan.cuts[0], replace(plan.cuts[1], values=(*plan.cuts[1].values, "x"))))
    assert _outputs(replace(model, plan=later), 0, Header("double", (), ())) == plan.outputs
    assert _outputs(replace(model, plan=later), 1, Header("double", (), ())) == model.plan.outputs
