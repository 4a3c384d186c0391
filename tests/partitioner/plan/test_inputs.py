"""Frames of models of every kind of input: with a batch first, with one elsewhere, with none; scalars; examples."""

from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.inputs import (
    example_values,
    examples_to_json,
    frame_of,
    frames_of,
    random_frame,
    random_tensor,
)
from partway.partitioner.plan.plan import Plan, Stage, plan_to_json
from partway.partitioner.plan.plan_file import plan_from_json
from partway.proto.tensors import TensorSpec

SOUND = TensorSpec("sound", "float32", (None, None), usual=(None, 8))
STATE = TensorSpec("state", "float32", (2, None, 4))
RATE = TensorSpec("sr", "int64", ())
OUTPUT = TensorSpec("y", "float32", (None, 1))


def voice_plan(**more: Any) -> Plan:
    """A plan with the inputs of a voice detector."""
    inputs = (SOUND, STATE, RATE)
    stage = Stage("a.onnx", "0" * 64, 1, inputs, (OUTPUT,), 1)
    names = tuple(spec.name for spec in inputs)
    tensors = {spec.name: spec for spec in (*inputs, OUTPUT)}
    return Plan("voice", "0" * 64, "onnx", (stage,), (Cut(names), Cut(("y",))), tensors, names, ("y",), **more)


EXAMPLES = examples_to_json({"sr": np.array(16000), "state": np.array(0)}, [SOUND, STATE, RATE])
PLAN = voice_plan(examples=EXAMPLES)


def test_a_frame_lacks_nothing_that_has_an_example() -> None:
    """A given value goes before the example; types are the model's."""
    frame = frame_of({"sound": np.zeros(8)}, PLAN, "it")
    assert {name: (value.shape, value.dtype.name) for name, value in frame.items()} == {
        "sound": ((1, 8), "float32"),
        "state": ((2, 1, 4), "float32"),
        "sr": ((), "int64"),
    }
    assert frame["sr"] == 16000
    assert frame_of({"sound": np.zeros((1, 5)), "sr": [8000]}, PLAN, "it")["sr"] == 8000
    with pytest.raises(InputError, match="it lacks the model's input sound; it holds sr; voice takes sound float32"):
        frame_of({"sr": 8000}, PLAN, "it")


@pytest.mark.parametrize(
    ("arrays", "count"),
    [
        ({"sound": (1, 8), "state": (2, 1, 4), "sr": ()}, 1),
        ({"sound": (3, 8), "state": (2, 1, 4), "sr": ()}, 3),
        ({"sound": (3, 8), "state": (3, 2, 1, 4), "sr": (3,)}, 3),
        ({"sound": (3, 1, 8), "state": (2, 2, 1, 4)}, 2),
        ({"sound": (3, 8)}, 3),
        ({"sound": (0, 8)}, 0),
    ],
)
def test_arrays_hold_frames_or_what_serves_all_frames(arrays: dict[str, tuple[int, ...]], count: int) -> None:
    """A scalar and a state need no axis of frames, and may have one."""
    made = {name: np.ones(shape, np.float32) for name, shape in arrays.items()}
    frames = [frame_of(frame, PLAN, "a.npz") for frame in frames_of(made, PLAN, "a.npz")]
    assert len(frames) == count
    for frame in frames:
        assert [frame[name].shape for name in ("sound", "state", "sr")] == [(1, 8), (2, 1, 4), ()]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"sound": (8,)}, r"sound must be \[frames, \?\], not \[\] a frame"),
        (
            {"sound": (1, 8), "state": (3, 1, 4)},
            r"state must be \[2, \?, 4\], or \[frames, 2, \?, 4\], not \[3, 1, 4\]",
        ),
        ({"sound": (1, 8), "sr": (1, 1)}, r"sr must be \[\], or \[frames\], not \[1, 1\]"),
    ],
)
def test_arrays_of_other_shapes_are_refused(arrays: dict[str, tuple[int, ...]], says: str) -> None:
    """The sentence has the shapes that are right."""
    with pytest.raises(InputError, match=says):
        frames_of({name: np.ones(shape, np.float32) for name, shape in arrays.items()}, PLAN, "a.npz")


def test_random_frames_are_of_the_usual_size_and_hold_the_examples() -> None:
    """So a model runs on them that fails at another rate."""
    frame = random_frame(PLAN, np.random.default_rng(0))
    assert frame["sound"].shape == (1, 8)
    assert frame["sr"] == 16000
    assert not frame["state"].any()


def test_examples_go_through_the_plans_file_and_count_in_its_digest() -> None:
    """A plan without examples keeps its digest."""
    assert "examples" not in plan_to_json(voice_plan())
    again = plan_from_json(plan_to_json(PLAN))
    assert again.digest == PLAN.digest != voice_plan().digest
    assert example_values(again)["state"].shape == (2, 1, 4)
    mixed = examples_to_json({"sound": np.arange(4.0)}, [SOUND])
    assert np.array_equal(example_values(voice_plan(examples=mixed))["sound"], [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("examples", "says"),
    [
        ({"rate": np.array(1)}, "the model has no input of this name; it has sound, state, sr"),
        ({"sr": np.array(0.5 + 1j)}, "must be numbers"),
        ({"state": np.zeros((2, 4))}, r"state must be \[2, \?, 4\]"),
        ({"sound": np.array(np.nan)}, "holds infinity or NaN"),
        ({"sound": np.arange(1 << 17)}, "a plan keeps 65536 at most"),
    ],
)
def test_examples_that_no_plan_can_keep_are_refused(examples: dict[str, Any], says: str) -> None:
    """One sentence each."""
    with pytest.raises(InputError, match=says):
        examples_to_json(examples, [SOUND, STATE, RATE])


@pytest.mark.parametrize("entry", [{"shape": [3], "numbers": [1, 2, 3]}, {"shape": []}, {"shape": [2], "numbers": []}])
def test_damaged_examples_are_refused(entry: dict[str, Any]) -> None:
    """By shape or by what is missing."""
    with pytest.raises(InputError, match="the plan's examples are damaged"):
        example_values(voice_plan(examples={"sr": entry}))


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "uint64"]
)
def test_random_tensors_have_the_type_and_shape_asked_for(dtype: str) -> None:
    """Every dtype that can cross can be made up, with a dynamic dimension as one, and is not all the same."""
    made = random_tensor(np.random.default_rng(0), dtype, (None, 64))
    assert (made.dtype.name, made.shape) == (dtype, (1, 64))
    assert len(np.unique(made)) > 1
    assert random_tensor(np.random.default_rng(0), dtype, ()).shape == ()
