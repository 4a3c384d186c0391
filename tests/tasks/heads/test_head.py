"""What heads share."""

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.heads.head import Reading, guess, rows


def test_a_batch_axis_is_dropped() -> None:
    """Of outputs that are a table then."""
    found = [rows(np.zeros(shape)) for shape in ((1, 3, 4), (3, 4), (1, 1, 3, 4))]
    assert [table.shape for table in found if table is not None] == [(3, 4)] * 3
    assert rows(np.zeros(4)) is rows(np.zeros((2, 3, 4))) is None


def test_a_guess_is_a_plan_s_entry() -> None:
    """With the input's size where there is a picture."""
    found = guess("yolov8", {"boxes": "y"}, (3, 4), "why", True, classes=2)
    assert found.output == {
        "kind": "detect", "head": "yolov8", "values": {"boxes": "y"}, "size": [3, 4], "classes": 2
    }  # fmt: skip
    assert "size" not in guess("rows", {"rows": "y"}, None, "why", True).output


def test_an_unknown_size_is_asked_for() -> None:
    """Where a head needs it."""
    assert Reading({}, {}, (3, 4)).size == (3, 4)
    with pytest.raises(InputError, match="the input's size"):
        _ = Reading({}, {}, None).size
