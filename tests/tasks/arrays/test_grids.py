"""Grids of cells."""

import numpy as np
import pytest

from partway.tasks.arrays.grids import cells, counts, on_grid, strides_of


@pytest.mark.parametrize(
    ("size", "length", "layout"),
    [
        ((320, 320), 2100, ((8, 16, 32), 1)),
        ((640, 640), 8400, ((8, 16, 32), 1)),
        ((416, 416), 3549, ((8, 16, 32), 1)),
        ((640, 640), 25200, ((8, 16, 32), 3)),
        ((320, 320), 2125, ((8, 16, 32, 64), 1)),
        ((416, 416), 2535, ((16, 32), 3)),
        ((100, 60), 104 + 28 + 8, ((8, 16, 32), 1)),
        ((640, 640), 100, None),
        ((640, 640), 300, None),
        ((640, 640), 1, None),
        (None, 8400, None),
    ],
)
def test_the_number_of_answers_tells_the_strides(
    size: tuple[int, int] | None, length: int, layout: tuple[tuple[int, ...], int] | None
) -> None:
    """YOLO at 320, 640, 416, three anchors a cell, NanoDet-Plus, tiny YOLOv3, odd sizes; DETR's queries are no grid."""
    assert strides_of(length, size) == layout


def test_cells_come_row_by_row_and_stride_by_stride() -> None:
    """Column first; odd sizes are rounded up."""
    places, strides = cells((16, 24), (8, 16))
    assert places.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 0], [1, 0]]
    assert strides.tolist() == [8] * 6 + [16] * 2
    assert counts((17, 24), (8, 16)) == [9, 4]


@pytest.mark.parametrize("order", ["cell by cell", "grid by grid"])
def test_centres_near_their_cells_are_decoded(order: str) -> None:
    """Offsets are not, nor centres of another order."""
    size, strides = (64, 96), (8, 16)
    parts = [cells(size, [stride])[0] for stride in strides]
    repeated = [np.tile(p, (3, 1)) if order == "grid by grid" else p.repeat(3, 0) for p in parts]
    centres = np.concatenate([(p + 0.3) * s for p, s in zip(repeated, strides, strict=True)])
    assert on_grid(centres, size, strides, 3)
    assert not on_grid(centres[::-1], size, strides, 3)
    assert not on_grid(np.zeros_like(centres), size, strides, 3)
