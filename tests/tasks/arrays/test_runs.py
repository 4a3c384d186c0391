"""Connected regions."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from partway.tasks.arrays.runs import regions, runs_of

Array = np.ndarray[Any, Any]
MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9))


def _painted(mask: Array) -> list[frozenset[tuple[int, int]]]:
    runs = runs_of(mask)
    found = []
    for members in regions(runs):
        ends = zip(runs.row[members], runs.start[members], runs.stop[members], strict=True)
        found.append(frozenset((int(r), c) for r, a, b in ends for c in range(int(a), int(b))))
    return found


def _flooded(mask: Array) -> set[frozenset[tuple[int, int]]]:
    """By flood fill over eight neighbours."""
    todo, found = {(int(r), int(c)) for r, c in np.argwhere(mask)}, set()
    while todo:
        region, edge = set(), [next(iter(todo))]
        while edge:
            row, column = edge.pop()
            if (row, column) in todo:
                todo.remove((row, column))
                region.add((row, column))
                edge += [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        found.add(frozenset(region))
    return found


@settings(deadline=None)
@given(MASKS)
def test_regions_are_those_of_a_flood_fill(mask: Array) -> None:
    """Pixels that touch by a side or a corner."""
    found = _painted(mask)
    assert len(found) == len(set(found))
    assert set(found) == _flooded(mask)


def test_a_comb_is_one_region() -> None:
    """Teeth that meet only in the last row."""
    mask = np.zeros((40, 41), bool)
    mask[:, ::2] = mask[-1] = True
    assert len(regions(runs_of(mask))) == 1
