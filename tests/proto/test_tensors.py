"""Descriptions of tensors."""

import json
from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.proto.tensors import Quantization, TensorSpec, as_type_of

IMAGE = TensorSpec("image", "float32", (None, 3, 4))


def test_sizes_follow_from_shape_and_dtype() -> None:
    """Dynamic dimensions count as one, or as many as is said."""
    assert (IMAGE.itemsize, IMAGE.elements(), IMAGE.size_bytes()) == (4, 12, 48)
    assert (IMAGE.elements(5), IMAGE.size_bytes(5)) == (60, 240)
    assert TensorSpec("s", "float64", ()).size_bytes() == 8


@pytest.mark.parametrize(
    ("shape", "dtype", "accepted"),
    [
        ((1, 3, 4), "float32", True),
        ((9, 3, 4), "float32", True),
        ((1, 3, 5), "float32", False),
        ((1, 3), "float32", False),
        ((1, 3, 4, 1), "float32", False),
        ((), "float32", False),
        ((1, 3, 4), "float64", False),
    ],
)
def test_a_spec_accepts_what_fits(shape: tuple[int, ...], dtype: str, accepted: bool) -> None:
    """Rank, every fixed dimension and the dtype must be right; a dynamic dimension may be anything."""
    assert IMAGE.accepts(shape, dtype) is accepted


def test_a_spec_survives_json() -> None:
    """A spec written as JSON and read back is the same."""
    assert TensorSpec.from_json(json.loads(json.dumps(IMAGE.to_json()))) == IMAGE


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        '{"name": "x", "dtype": "float32"}',
        '{"name": "x", "dtype": "float32", "shape": 4}',
        '{"name": "x", "dtype": "float32", "shape": ["a"]}',
        '{"name": "x", "dtype": "float32", "shape": [Infinity]}',
        '{"name": "x", "dtype": "float32", "shape": [-2]}',
        '{"name": "x", "dtype": "no such dtype", "shape": [1]}',
        '{"name": "x", "dtype": "f4,(", "shape": [1]}',
        '{"name": "x", "dtype": "object", "shape": [1]}',
        '{"name": "x", "dtype": "complex64", "shape": [1]}',
        '{"name": "x", "dtype": null, "shape": [1]}',
    ],
)
def test_what_describes_no_tensor_is_refused(text: str) -> None:
    """Damaged descriptions, and dtypes that cannot travel, are one sentence that says what to do."""
    data: Any = json.loads(text)
    with pytest.raises(InputError, match="write the plan again"):
        TensorSpec.from_json(data)


@pytest.mark.parametrize(
    ("numbers", "dtype"),
    [
        ([300.0, -200.0], "int8"),
        (np.array([128]), "int8"),
        (np.array([-1]), "uint8"),
        (np.array([256], np.uint16), "uint8"),
        (np.array([1 << 63], np.uint64), "int64"),
        ([float(1 << 63)], "int64"),
        ([np.nan], "int32"),
        ([np.inf], "int32"),
        ([1.0, 70_000.0], "float16"),
        ([-1e39], "float32"),
    ],
)
def test_a_number_outside_the_type_is_refused(numbers: Any, dtype: str) -> None:
    """numpy would wrap it round, or turn it into infinity, without a word."""
    with pytest.raises(InputError, match=rf"^a\.npz: x is {dtype}, .* is outside$"):
        as_type_of(TensorSpec("x", dtype, (None,)), np.asarray(numbers), "a.npz")


@pytest.mark.parametrize(
    ("numbers", "dtype"),
    [
        ([127.0, -128.0], "int8"),
        (np.array([255, 0]), "uint8"),
        ([True, False], "int8"),
        ([], "int8"),
        ([0, 7], "bool"),
        ([np.inf, -np.inf, np.nan, 1.5], "float16"),
        (np.array([1 << 40]), "float32"),
    ],
)
def test_numbers_of_the_type_keep_their_values(numbers: Any, dtype: str) -> None:
    """Infinity and NaN exist among floats; anything but zero is true."""
    given = np.asarray(numbers)
    made = as_type_of(TensorSpec("x", dtype, (None,)), given, "it")
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, given != 0 if dtype == "bool" else given)


def test_what_is_no_number_is_refused() -> None:
    """Text and complex numbers."""
    for array in (np.array(["a"]), np.array([1j])):
        with pytest.raises(InputError, match="it: image must be numbers, not"):
            as_type_of(IMAGE, array, "it")


@pytest.mark.parametrize(("meaning", "says"), [
    (None, "x is int8, and 0.5 is a fraction; give whole numbers$"),
    (Quantization((0.25,), (-3,)), r"give whole numbers, or real numbers as x / 0.25 \+ -3, rounded"),
])  # fmt: skip
def test_fractions_for_integers_are_refused(meaning: Quantization | None, says: str) -> None:
    """They were cut off without a word; whole numbers among floats are taken."""
    spec = TensorSpec("x", "int8", (None,), meaning)
    with pytest.raises(InputError, match=says):
        as_type_of(spec, np.array([1.0, 0.5, -2.0]), "it")
    assert as_type_of(spec, np.array([1.0, -2.0]), "it").tolist() == [1, -2]
    assert as_type_of(TensorSpec("x", "float16", (None,)), np.array([0.5]), "it").tolist() == [0.5]
