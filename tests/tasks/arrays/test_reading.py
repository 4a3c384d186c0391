"""Outputs and entries of a plan are read or refused."""

from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.arrays.reading import are_shares, number, same_rows, sigmoid, size_of, softmax, taken, values_of


def test_axes_of_one_come_and_go() -> None:
    """A batch of one is dropped; an output without the axis gets one."""
    outputs = {"a": np.zeros((1, 1, 3, 4)), "b": np.zeros(4, np.float16), "c": np.zeros((1, 4), np.int8)}
    assert taken(outputs, "a", 2, 4).shape == (3, 4)
    assert (taken(outputs, "b", 2).shape, taken(outputs, "b", 2).dtype) == ((1, 4), np.float32)
    assert taken(outputs, "c", 2).dtype == np.float32


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (
            np.zeros((2, 3, 4)),
            r"output 'y' has shape \[2, 3, 4\], the task reads 2 axes without the batch, the last of 4",
        ),
        (np.zeros((1, 3, 5)), r"output 'y' has shape \[1, 3, 5\]"),
        (np.array([["a"]]), "output 'y' is <U1, the task reads numbers"),
    ],
)
def test_another_shape_is_refused(array: Any, sentence: str) -> None:
    """With the shape that came, and the one that fits."""
    with pytest.raises(InputError, match=sentence):
        taken({"y": array}, "y", 2, 4)


def test_a_missing_output_is_named() -> None:
    """With those that exist."""
    with pytest.raises(InputError, match="the model has no output 'y', only x"):
        taken({"x": np.zeros(1)}, "y", 1)


def test_outputs_that_belong_together_are_equally_long() -> None:
    """The lengths are named."""
    assert same_rows({"a": np.zeros((3, 1)), "b": np.zeros((3, 4))}) == 3
    with pytest.raises(InputError, match="'a' 3, 'b' 2"):
        same_rows({"a": np.zeros(3), "b": np.zeros(2)})


def test_roles_are_filled_by_names_or_order() -> None:
    """An only role may be called value."""
    assert values_of({"values": {"boxes": "b"}}, ("boxes",), ["a", "b"]) == {"boxes": "b"}
    assert values_of({"value": "b"}, ("boxes",), ["a", "b"]) == {"boxes": "b"}
    assert values_of({}, ("boxes", "scores"), ["a", "b"]) == {"boxes": "a", "scores": "b"}
    for entry in ({"values": {"boxes": "c"}}, {"value": "c"}):
        with pytest.raises(InputError, match="names no output for 'boxes'"):
            values_of(entry, ("boxes",), ["a", "b"])
    with pytest.raises(InputError, match="names no output for 'boxes'"):
        values_of({}, ("boxes", "scores"), ["a"])


@pytest.mark.parametrize("value", ["0.5", None, True, float("nan"), 1.5, -0.1])
def test_a_threshold_is_a_number_of_0_to_1(value: Any) -> None:
    """Else a sentence."""
    with pytest.raises(InputError, match="score"):
        number({"score": value}, "score", 0.5)
    assert number({}, "score", 0.5) == 0.5


@pytest.mark.parametrize("size", [[1], "320", [0, 3], [3.0, 3]])
def test_a_damaged_size_is_refused(size: Any) -> None:
    """It is [height, width]."""
    assert size_of({"size": [3, 4]}) == (3, 4)
    assert size_of({}) is None
    with pytest.raises(InputError, match="height, width"):
        size_of({"size": size})


def test_squashing_does_not_overflow() -> None:
    """Sigmoid and softmax of values in the thousands."""
    assert sigmoid(np.array([-5000.0, 0, 5000])).tolist() == [0, 0.5, 1]
    assert softmax(np.array([[5000.0, 4000]])).tolist() == [[1, 0]]
    assert softmax(np.zeros((0, 3))).shape == (0, 3)


def test_shares_are_of_0_to_1() -> None:
    """None of nothing, none of what is no number."""
    assert are_shares(np.array([0, 1.0]))
    assert not any(are_shares(np.array(values)) for values in ([], [1.1], [-0.1], [np.nan]))
