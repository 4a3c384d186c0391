"""Seconds of operators, learnt from measurements."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.machines import by_law, graphs_of

from partway.errors import InputError
from partway.partitioner.profile.fused_groups import FusedGroup, MeasuredModel, predicted_groups
from partway.partitioner.profile.regression import LEAST_POINTS, WIDEST, Line, features_of, fit, regress


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


def group(kind: str = "Conv", work: float = 1000.0, stage: int = 0) -> FusedGroup:
    """A group that does so much."""
    return FusedGroup(kind.lower(), kind, stage, work, 10.0, 20.0, 30.0)


def seen(count: int, kind: str = "Conv", model: str = "m") -> MeasuredModel:
    """A profile of groups that take a nanosecond for each multiply-add, and a stage that takes 5 µs besides."""
    groups = tuple((group(kind, 1000.0 * (at + 1)), 1e-6 * (at + 1)) for at in range(count))
    total_s = sum(seconds for _, seconds in groups) + 5e-6
    return MeasuredModel(model, groups, (5e-6,), total_s, {}, {}, ())


def test_a_line_goes_through_points_that_obey_one() -> None:
    """Every coefficient is found, whatever its scale."""
    rows = [(float(a), float(b), 1.0) for a in (1e6, 3e6, 7e6) for b in (10, 40, 90)]
    line = fit(rows, [2e-9 * a + 3e-6 * b + 4e-5 for a, b, _ in rows])
    assert line.coefficients == pytest.approx((2e-9, 3e-6, 4e-5), rel=1e-6)
    assert (line.points, line.most) == (9, (7e6, 90.0, 1.0))
    assert line.seconds((1e6, 10.0, 1.0)) == pytest.approx(2e-3 + 3e-5 + 4e-5)


def test_a_feature_that_never_varies_from_nothing_is_harmless() -> None:
    """Operators without weights have none of any size."""
    line = fit([(1.0, 0.0), (2.0, 0.0), (3.0, 0.0)], [1e-3, 2e-3, 3e-3])
    assert line.coefficients == pytest.approx((1e-3, 0.0))


def test_a_line_covers_what_is_not_far_larger_than_what_it_saw() -> None:
    """Up to eight times in every feature."""
    line = Line((1.0, 1.0), (10.0, 1.0), 5)
    assert line.covers((10 * WIDEST, 1.0))
    assert not line.covers((10 * WIDEST + 1, 1.0))
    assert not line.covers((1.0, WIDEST + 1))


def test_a_kind_needs_enough_points_for_a_line_of_its_own() -> None:
    """With fewer, the line over all kinds stands in."""
    few, enough = regress([seen(LEAST_POINTS - 1)]), regress([seen(LEAST_POINTS)])
    assert not few.knows(group())
    assert enough.knows(group())
    assert few.seconds(group()) == few.pooled.seconds(features_of(group()))


def test_kinds_are_fitted_apart_and_together() -> None:
    """A kind of its own speed does not change another's line."""
    slow = MeasuredModel(
        "n", tuple((group("Relu", g.work), 10 * s) for g, s in seen(12).groups), (5e-6,), 1.0, {}, {}, ()
    )
    made = regress([seen(12), slow])
    assert made.seconds(group("Relu", 5000.0)) == pytest.approx(10 * made.seconds(group("Conv", 5000.0)), rel=1e-3)
    conv, pooled = made.kinds["Conv"], made.pooled
    assert conv.seconds(features_of(group())) < pooled.seconds(features_of(group()))


def test_what_a_stage_takes_besides_is_learnt_from_whole_stages() -> None:
    """Here five microseconds, whatever it holds."""
    made = regress([seen(12), seen(20, model="n")])
    assert made.rest_s([group()] * 3) == pytest.approx(5e-6, rel=0.2)


COUNTS = st.integers(0, 10**9).map(float)
"""Multiply-adds or bytes."""


@given(st.lists(st.tuples(COUNTS, COUNTS, st.floats(1e-7, 1.0)), min_size=1, max_size=20))
def test_no_prediction_is_ever_negative(points: list[tuple[float, float, float]]) -> None:
    """Nor does more of anything take less."""
    line = fit([(a, b, 1.0) for a, b, _ in points], [seconds for *_, seconds in points])
    base = line.seconds((1e3, 1e3, 1.0))
    assert base >= 0
    assert line.seconds((2e3, 1e3, 1.0)) >= base
    assert line.seconds((1e3, 2e3, 1.0)) >= base


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has the command that installs it."""
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(InputError, match=r"calibrating needs scipy: pip install 'partway\[partition\]'"):
        fit([(1.0,)], [1.0])
