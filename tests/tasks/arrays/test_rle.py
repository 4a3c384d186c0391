"""Run lengths of masks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from partway.errors import InputError
from partway.tasks.arrays.rle import decoded, encoded

Array = np.ndarray[Any, Any]


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=8)))
def test_any_mask_comes_back(mask: Array) -> None:
    """And only the first length may be 0."""
    counts = encoded(mask)
    np.testing.assert_array_equal(decoded(counts, (mask.shape[0], mask.shape[1])), mask)
    assert all(count > 0 for count in counts[1:])


def test_lengths_go_down_the_columns_and_start_with_false() -> None:
    """As COCO's tools write them."""
    assert encoded(np.array([[0, 1], [1, 1]], bool)) == [1, 3]
    assert encoded(np.array([[1, 0], [1, 0]], bool)) == [0, 2, 2]


@pytest.mark.parametrize("counts", [[1, 2], [5, -1], []])
def test_lengths_must_add_up(counts: list[int]) -> None:
    """To the mask's pixels."""
    with pytest.raises(InputError, match="do not make a mask of 2 x 2"):
        decoded(counts, (2, 2))
