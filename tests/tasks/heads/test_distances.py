"""Heads that give distances to the sides."""

from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.arrays.grids import cells
from partway.tasks.heads.distances import HEADS, around, recognise_nanodet, recognise_scrfd
from partway.tasks.heads.head import Reading

Array = np.ndarray[Any, Any]
SIZE = (64, 96)


def _nanodet(strides: tuple[int, ...]) -> Array:
    """In the cell (1, 2) of stride 8: 1, 2, 3 and 4 strides to the sides, class 4 of 7."""
    length = len(cells(SIZE, strides)[0])
    table = np.full((length, 7 + 32), 0.01, np.float32)
    table[:, 7:] = -20
    table[:, 7] = 3
    table[12 + 2, 4] = 0.9
    for side, bin_ in enumerate((1, 2, 3, 4)):
        table[12 + 2, 7 + 8 * side : 15 + 8 * side] = -20
        table[12 + 2, 7 + 8 * side + bin_] = 20
    return table[None]


@pytest.mark.parametrize(("strides", "middle"), [((8, 16, 32), 4), ((8, 16, 32, 64), 0)])
def test_nanodet_s_distributions_become_boxes(strides: tuple[int, ...], middle: int) -> None:
    """With four strides, NanoDet-Plus, centres are the cells' corners."""
    outputs = {"y": _nanodet(strides)}
    (guess,) = recognise_nanodet(outputs, SIZE)
    assert (guess.certain, guess.output["classes"]) == (True, 7)
    found = HEADS["nanodet"].read(outputs, Reading(guess.output["values"], guess.output, SIZE))
    row, kind = np.unravel_index(found.scores.argmax(), found.scores.shape)
    assert kind == 4
    x, y = 16 + middle, 8 + middle
    np.testing.assert_allclose(found.boxes[row], [x - 8, y - 16, x + 24, y + 32], rtol=1e-5)


def test_other_tables_are_no_nanodet() -> None:
    """All scores; no grid; too few channels."""
    assert recognise_nanodet({"y": np.full((1, 126, 85), 0.5, np.float32)}, SIZE) == []
    assert recognise_nanodet({"y": _nanodet((8, 16, 32))}, (64, 64)) == []
    assert recognise_nanodet({"y": np.zeros((1, 126, 32), np.float32)}, SIZE) == []
    assert recognise_nanodet({}, SIZE) == []
    with pytest.raises(InputError, match=r"has shape \[5, 39\]"):
        HEADS["nanodet"].read({"y": np.zeros((1, 5, 39))}, Reading({"boxes": "y"}, {}, SIZE))


def _scrfd(points: bool) -> dict[str, Array]:
    outputs: dict[str, Array] = {}
    for part, width in (("score", 1), ("bbox", 4), *([("kps", 10)] if points else [])):
        for stride in (8, 16, 32):
            array = np.zeros((len(cells(SIZE, [stride], 2)[0]), width), np.float32)
            if stride == 16:
                array[2 * (6 + 3)] = {"score": 0.9, "bbox": [1, 1, 2, 2], "kps": [0.5] * 10}[part]
            outputs[str(len(outputs))] = array
    return outputs


@pytest.mark.parametrize("points", [True, False])
def test_scrfd_has_two_anchors_a_cell(points: bool) -> None:
    """With landmarks or without; in the cell (1, 3) of stride 16."""
    outputs = _scrfd(points)
    (guess,) = recognise_scrfd(outputs, SIZE)
    assert guess.certain
    found = HEADS["scrfd"].read(outputs, Reading(guess.output["values"], guess.output, SIZE))
    best = int(found.scores.argmax())
    assert found.boxes[best].tolist() == [32, 0, 80, 48]
    if points:
        assert found.points is not None
        assert found.points[best].tolist() == [[56, 24, 1]] * 5
    else:
        assert found.points is None
    assert recognise_scrfd(outputs, (64, 64)) == []
    with pytest.raises(InputError, match="252 anchors, an input of 64 x 64 has 168"):
        HEADS["scrfd"].read(outputs, Reading(guess.output["values"], guess.output, (64, 64)))


def test_distances_are_from_left_to_bottom() -> None:
    """Of a point."""
    assert around(np.array([[10, 20]]), np.array([[1, 2, 3, 4]])).tolist() == [[9, 18, 13, 24]]
