"""Tasks are found by name."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from partway.errors import InputError
from partway.tasks.arrays.grids import cells
from partway.tasks.interface import Geometry, OutputSpec
from partway.tasks.registry import TASKS, guesses, task_of

CLASSES = [OutputSpec("y", "float32", (None, 4))]


@pytest.mark.parametrize("name", TASKS.own_names())
def test_each_task_has_a_help_text_and_its_own_name(name: str) -> None:
    """What ``--task`` lists."""
    assert TASKS.get(name).help


def test_a_plan_without_an_entry_passes_tensors_on() -> None:
    """Nothing is known."""
    assert task_of({}, CLASSES).name == "tensors"


def test_an_unknown_task_is_named() -> None:
    """With the names that exist."""
    with pytest.raises(InputError, match="unknown task 'klassify'; did you mean 'classify'"):
        task_of({"kind": "klassify"}, CLASSES)


@pytest.mark.parametrize(
    ("scores", "reason", "softmax"),
    [
        ([3, 1, -2, 5], "one output of 4 scores", True),
        ([0.5, 0.25, 0.125, 0.125], "one output of 4 probabilities", False),
    ],
)
def test_a_vector_of_scores_may_be_classes(scores: list[float], reason: str, softmax: bool) -> None:
    """A guess tells its reason."""
    found = guesses({"y": np.array([scores], np.float32)}, (8, 8))
    assert [(guess.output["kind"], guess.output["softmax"], guess.reason) for guess in found] == [
        ("classify", softmax, reason)
    ]


def test_certain_guesses_come_first_then_the_likeliest() -> None:
    """Several readings by one task are guesses of their own."""
    rng = np.random.default_rng(0)
    places, strides = cells((64, 64), (8, 16, 32))
    centres = (places + 0.5) * strides[:, None]
    table = np.concatenate([centres, rng.random((84, 2)) * 9, rng.random((84, 20))], 1)[None]
    found = guesses({"y": table.astype(np.float32)}, (64, 64))
    assert [(guess.output["head"], guess.certain, guess.others) for guess in found] == [
        ("yolov5", False, ()),
        ("yolov8", False, ()),
    ]
    certain = guesses({"y": table.astype(np.float32).transpose(0, 2, 1)}, (64, 64))
    assert [(guess.output["head"], guess.certain) for guess in certain] == [("yolov8", True)]


SHAPES = [
    (),
    (0,),
    (1,),
    (6,),
    (1, 6),
    (1, 7),
    (1, 2),
    (3, 4),
    (1, 84, 5),
    (1, 252, 6),
    (1, 6, 252),
    (1, 56, 252),
    (1, 5, 2),
]
SHAPES += [
    (1, 5, 4),
    (2, 3),
    (1, 1, 17, 3),
    (1, 12, 16, 3),
    (1, 21, 48, 64),
    (1, 96, 128, 1),
    (1, 96, 128),
    (0, 4),
    (1, 0, 6),
]
SHAPES += [(1, 39, 252), (1, 252, 39), (1, 8, 24, 32), (2, 1, 8), (1, 3, 12, 16, 11), (1, 17, 256), (1, 17, 192)]
FILLS = ["noise", "shares", "zeros", "nan", "inf", "mixed"]


def _array(shape: tuple[int, ...], fill: str, dtype: str, seed: int) -> "np.ndarray":
    rng = np.random.default_rng(seed)
    array = rng.normal(size=shape) * 10 if fill in ("noise", "mixed") else rng.random(shape)
    if fill in ("zeros", "nan", "inf"):
        array = np.full(shape, {"zeros": 0.0, "nan": np.nan, "inf": np.inf}[fill])
    if fill == "mixed" and array.size:
        array = np.where(rng.random(shape) < 0.1, np.nan, array)
    return np.nan_to_num(array).astype(dtype) if dtype[0] in "iu" else np.asarray(array).astype(dtype)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(SHAPES), st.sampled_from(FILLS), st.sampled_from(["float32", "float16", "int64", "uint8"])
        ),
        max_size=4,
    ),
    st.sampled_from([None, (96, 128), (1, 1)]),
    st.integers(0, 9),
)
def test_any_outputs_are_guessed_read_compared_and_drawn_without_a_traceback(
    wanted: list[tuple[tuple[int, ...], str, str]], size: tuple[int, int] | None, seed: int
) -> None:
    """Each guess can read the outputs it comes from; other outputs of its names are read, or refused by a sentence."""
    outputs = {f"y{i}": _array(*one, seed + i) for i, one in enumerate(wanted)}
    specs = [OutputSpec(name, array.dtype.name, array.shape) for name, array in outputs.items()]
    for guess in guesses(outputs, size):
        task = task_of(guess.output, specs)
        json.dumps(guess.output)
        for geometry in (None, Geometry(40, 30, 128, 96, 3.2, 3.2)):
            result = task.decode(outputs, geometry)
            json.dumps(result.to_json(), allow_nan=False)
            assert "\n" not in result.line
            assert 0 <= task.agreement(result, result) <= 1
            assert task.draw(Image.new("RGB", (40, 30)), result).size == (40, 30)
        for value in (np.nan, np.inf, 0.0):
            task.decode({name: np.full(array.shape, value) for name, array in outputs.items()}, None)
        for shape in SHAPES[:12]:
            with contextlib.suppress(InputError):
                task.decode({name: np.ones(shape, np.float32) for name in outputs}, None)
        with pytest.raises(InputError):
            task.decode({}, None)
