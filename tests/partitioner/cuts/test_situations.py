"""What splits cost in the situations that a chain serves."""

import numpy as np
import pytest

from partway.partitioner.cuts.situations import (
    BANDWIDTHS_BPS,
    CLOUD_TIMES,
    DEVICE_TIMES,
    FREE,
    KEPT,
    RTT_S,
    WORST,
    Regrets,
    Splits,
)

ALWAYS = 0
"""The situation of the slowest link, the device and the cloud both like this machine."""


@pytest.fixture
def splits() -> Splits:
    """One cut in the middle of a second of work."""
    return Splits(
        np.array([0.0, 0.25, 1.0]),
        np.array([1.0, 0.75, 0.0]),
        np.array([0.01, 0.02, 0.0]),
        np.tile([100e3, 50e3, 0.0], (4, 1)),
        np.array([0.0, 10.0, 100.0]),
        np.array([True, False, False]),
    )


def test_latency_adds_up_and_frames_overlap(splits: Splits) -> None:
    """Device, link, round trip and cloud in turn; or the slowest of device, link and cloud."""
    link_s = 8 * 50e3 / BANDWIDTHS_BPS[0]
    assert splits.times("latency")[1, ALWAYS] == pytest.approx(0.25 + 0.02 + link_s + RTT_S + 0.75 + 0.02)
    assert splits.times("frames/s")[1, ALWAYS] == pytest.approx(max(0.27, link_s, 0.77))
    assert splits.times("latency")[2, ALWAYS] == pytest.approx(1.0)


def test_every_combination_is_a_situation(splits: Splits) -> None:
    """Levels, devices, clouds and links."""
    assert splits.times("latency").shape == (3, 4 * len(DEVICE_TIMES) * len(CLOUD_TIMES) * len(BANDWIDTHS_BPS))


def test_constraints_take_splits_away(splits: Splits) -> None:
    """Anything; nothing that sends the input; nothing that holds too many of the weights."""
    assert splits.allowed(FREE).tolist() == [True, True, True]
    assert splits.allowed(KEPT).tolist() == [False, True, True]
    assert splits.allowed("memory 50%").tolist() == [True, True, False]
    assert splits.allowed("memory 10%").tolist() == [True, True, False]


def test_regret_is_against_the_best_split_that_the_setting_allows(splits: Splits) -> None:
    """The whole chain has none; one without the cut has some; one without any allowed split has the most."""
    regrets = Regrets(splits)
    assert all(one.mean == one.worst == 0 for one in regrets.of([0, 1, 2]))
    kept = next(one for one in regrets.of([0, 2]) if (one.objective, one.constraint) == ("latency", KEPT))
    assert 0 < kept.mean < kept.worst
    only_input = next(one for one in regrets.of([0]) if (one.objective, one.constraint) == ("latency", KEPT))
    assert only_input.mean == WORST


def test_a_split_is_wanted_where_it_is_the_best_of_the_chain(splits: Splits) -> None:
    """The input is never wanted where it stays."""
    wanted = Regrets(splits).wanted_by([0, 1, 2])
    assert not any(setting.endswith(KEPT) for setting in wanted[0])
    assert f"latency, {KEPT}" in wanted[1]
    assert not any("memory" in setting for setting in wanted[2])
