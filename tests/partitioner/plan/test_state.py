"""State between frames: what a plan says about it, and the state of one stream."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.affine import affine_chain

from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, plan_to_json
from partway.partitioner.plan.plan_file import plan_from_json
from partway.partitioner.plan.state import StateLink, StreamState, compatible
from partway.proto.tensors import TensorSpec

SQUARE = TensorSpec("h", "int16", (1, 2, 2))


def remembering_plan(**link: object) -> Plan:
    """A plan whose output ``hn`` is its input ``h``; the frames bring ``x``."""
    plan = affine_chain().plan
    first, last = plan.stages[0], plan.stages[-1]
    h, hn = SQUARE, replace(SQUARE, name="hn")
    stages = (
        replace(first, inputs=(*first.inputs, h)),
        *plan.stages[1:-1],
        replace(last, outputs=(*last.outputs, hn)),
    )
    cuts = (
        replace(plan.cuts[0], values=(*plan.cuts[0].values, "h")),
        *plan.cuts[1:-1],
        replace(plan.cuts[-1], values=(*plan.cuts[-1].values, "hn")),
    )
    tensors = {**plan.tensors, "h": h, "hn": hn}
    state = (StateLink("hn", "h", **link),)  # type: ignore[arg-type]
    return replace(plan, stages=stages, cuts=cuts, tensors=tensors, inputs=("x", "h"), outputs=("y", "hn"), state=state)


def test_a_plan_says_what_frames_bring_and_what_the_answer_is() -> None:
    """The state is neither: it comes from the frame before, and no codec may touch it."""
    plan = remembering_plan()
    assert [spec.name for spec in plan.frame_inputs] == ["x"]
    assert plan.answers == ("y",)
    assert plan.state_values == {"h", "hn"}
    assert [spec.name for spec in plan.coded(0)] == ["x"]
    assert remembering_plan(answers=True).answers == ("y", "hn")


def test_an_output_that_is_all_there_is_stays_the_answer() -> None:
    """A recurrence whose only output is its state still answers."""
    plan = replace(remembering_plan(), outputs=("hn",))
    assert plan.answers == ("hn",)


def test_state_takes_part_in_the_digest_only_where_there_is_some() -> None:
    """Plans without state keep the digest they had."""
    plan = remembering_plan()
    assert "state" not in plan_to_json(affine_chain().plan)
    assert plan.digest != replace(plan, state=()).digest
    assert plan.digest != remembering_plan(initial=bytes(range(8))).digest


def test_a_plan_with_state_goes_to_json_and_back() -> None:
    """With its first value, and with what is part of the answer as well."""
    plan = remembering_plan(initial=bytes(range(8)), answers=True)
    assert plan_from_json(plan_to_json(plan)).state == plan.state


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        (StateLink("hn", "y"), "no output and input"),
        (StateLink("x", "h"), "no output and input"),
        (StateLink("y", "h"), "differs in type or shape"),
        (StateLink("hn", "h", b"123"), "initial state of 3 bytes"),
    ],
)
def test_state_that_does_not_fit_the_model_is_refused(link: StateLink, fault: str) -> None:
    """A plan from elsewhere is checked before anything runs."""
    data = plan_to_json(replace(remembering_plan(), state=(link,)))
    with pytest.raises(InputError, match=fault):
        plan_from_json(data)


def test_a_damaged_first_value_is_refused_in_a_sentence() -> None:
    """Text that is no base64."""
    data = plan_to_json(remembering_plan())
    data["state"][0]["initial"] = "not base64!"
    with pytest.raises(InputError, match="damaged"):
        plan_from_json(data)


def test_a_stream_hands_each_frames_outputs_to_the_next() -> None:
    """Zeros first, then what was answered; a frame that nobody answered changes nothing; reset begins anew."""
    state = StreamState(remembering_plan())
    x = np.ones((1, 4), np.float32)
    assert not state.before({"x": x})["h"].any()
    after = np.full((1, 2, 2), 7, np.int16)
    state.after({"y": x, "hn": after})
    assert state.before({"x": x})["h"] is after
    state.after({})
    assert state.before({"x": x})["h"] is after
    own = np.full((1, 2, 2), 3, np.int16)
    assert state.before({"x": x, "h": own})["h"] is own
    state.reset()
    assert not state.values["h"].any()


def test_the_first_state_is_what_the_plan_says() -> None:
    """Little-endian numbers in C order."""
    given = np.arange(4, dtype="<i2")
    state = StreamState(remembering_plan(initial=given.tobytes()))
    assert np.array_equal(state.values["h"], np.arange(4, dtype=np.int16).reshape(1, 2, 2))
    assert state.values["h"].dtype == np.int16


def test_a_model_without_state_costs_nothing() -> None:
    """The frame's own inputs come back, not a copy."""
    state, inputs = StreamState(affine_chain().plan), {"x": np.ones(1)}
    assert not state
    assert state.before(inputs) is inputs
    state.after({"y": np.ones(1)})
    assert state.values == {}


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        (("float32", (2, None, 128)), ("float32", (2, None, 128)), True),
        (("float32", (None, None, None)), ("float32", (2, None, 128)), True),
        (("float32", (2, 1, 128)), ("float32", (2, None, 64)), False),
        (("float32", (2, 1)), ("float32", (2, 1, 1)), False),
        (("float16", (2, 1)), ("float32", (2, 1)), False),
    ],
)
def test_tensors_may_stand_for_each_other_if_nothing_known_differs(
    source: tuple[str, tuple[int | None, ...]], target: tuple[str, tuple[int | None, ...]], fits: bool
) -> None:
    """An open size fits any."""
    assert compatible(TensorSpec("a", *source), TensorSpec("b", *target)) == fits
