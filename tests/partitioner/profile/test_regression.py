"""Seconds of operators, learnt from measurements."""

from __future__ import annotations

from pathlib import Path

from tests.support.machines import by_law, graphs_of

from partway.partitioner.profile.fused_groups import predicted_groups
from partway.partitioner.profile.regression import features_of, fit, regress


def test_the_fit_never_makes_a_larger_operator_quicker() -> None:
    """Coefficients are not negative, whatever the data say."""
    rows = [(float(i), 1.0) for i in range(20)]
    line = fit(rows, [1e-3 - i * 1e-5 for i in range(20)])
    assert min(line.coefficients) >= 0
    assert line.seconds((100.0, 1.0)) >= line.seconds((1.0, 1.0))


def test_a_kind_is_not_trusted_far_beyond_what_was_seen(folders: dict[str, Path]) -> None:
    """An operator many times larger than any of its kind falls to the line over all kinds and counts as strange."""
    regression = regress([by_law(folder)[0] for folder in folders.values()])
    group = predicted_groups(graphs_of(folders["wide"])[0], 0, regression.habits)[0]
    assert regression.knows(group)
    huge = type(group)(group.name, group.kind, 0, group.work * 1e6, 1, 1, 1)
    assert not regression.knows(huge)
    assert regression.seconds(huge) == regression.pooled.seconds(features_of(huge))
