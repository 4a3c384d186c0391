"""The map of where splitting pays: its arithmetic on a chain that is easy to follow."""

import json
from pathlib import Path

import pytest
from benchmarks.win_map import RIVALS, Chain, always, between, gain, measured_points

PI = Chain((0.0, 0.5, 0.6, 1.0), (0.05, 0.02, 0.01, 0.0), (0.0, 1e6, 1e5, 4e3))
"""Half of the time is before 1 MB, six tenths before 100 kB."""


def test_a_split_wins_by_what_it_saves() -> None:
    """A sixteenth of 100 kB at 1 Mbps: 600 ms, 50 of sending, 40 of round trip, 10 in the cloud, against a second."""
    assert gain(PI, 1e6, RIVALS[2], always(16), "latency") == pytest.approx(1 / (0.6 + 0.05 + 0.04 + 0.01))
    assert gain(PI, 1e6, RIVALS[2], always(16), "frames/s") == pytest.approx(1 / 0.5)
    assert gain(PI, 1e6, RIVALS[0], always(16), "latency") == pytest.approx((0.24 + 0.05 + 0.04) / 0.7)
    assert gain(PI, 1e6, RIVALS[2], always(4), "frames/s") == pytest.approx(1 / 0.6)
    assert gain(PI, 1e5, RIVALS[2], always(4), "frames/s") == pytest.approx(1 / 2)


def test_a_ratio_may_depend_on_the_depth() -> None:
    """Straight lines between cuts, the nearest beyond them: half of 100 kB at 0.6, so 400 ms of sending."""
    ratio = between([(0.5, 1.0, "t40"), (0.7, 3.0, "t40")])
    assert [ratio(share) for share in (0.1, 0.6, 0.9)] == pytest.approx([1, 2, 3])
    assert gain(PI, 1e6, RIVALS[2], ratio, "latency") == pytest.approx(1 / (0.6 + 0.4 + 0.04 + 0.01))


def test_ratios_are_of_what_the_other_half_would_have_chosen(tmp_path: Path) -> None:
    """A codec that does well on the half that is shown alone is not taken: 4000 int8 in 1000 bytes are 16."""

    def row(way: int, codec: str, size: float, expected: float) -> dict[str, object]:
        half = {"bytes_mean": size, "agreement": expected}
        return {
            "k": 1,
            "way": way,
            "codec": codec,
            "bytes_mean": size,
            "share": 0.5,
            "agreement": 1.0,
            "chosen_on": half,
        }

    rows = [row(way, *one) for way in (0, 1) for one in (("raw", 4000, 1.0), ("t40", 1000, 0.985), ("t50", 800, 0.97))]
    file = tmp_path / "rate_accuracy.json"
    file.write_text(json.dumps({"cases": {"mobilenet": {"rows": rows}}}))
    assert measured_points(file) == [(0.5, 16.0, "t40")]
