"""Descriptions of tensors."""

import json
from typing import Any

import pytest

from partway.errors import InputError
from partway.proto.tensors import TensorSpec

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
