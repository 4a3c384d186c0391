"""The map of which candidate wins on which link."""

import numpy as np

from partway.partitioner.explain import crossover_map as explain_map


def test_labels_stand_where_the_region_is_thickest() -> None:
    """The cell that outlasts the others when a region is worn away from its borders."""
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:14, 10:25] = True
    mask[9, :] = True
    row, column = explain_map._innermost(mask)
    assert row == 9
    assert 14 <= column <= 20
    assert explain_map._run(mask[7], 12) == (10, 25)
    assert explain_map._run(mask[9], 12) == (0, 30)
