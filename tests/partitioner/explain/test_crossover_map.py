"""The map of which candidate wins on which link."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from partway.partitioner.decide.candidates import short_name
from partway.partitioner.decide.estimate import Link
from partway.partitioner.explain import crossover_map as explain_map
from partway.partitioner.explain.explanation import Explanation


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


def drawn(explanation: Explanation) -> Axes:
    """The map on axes of its own."""
    axes = Figure(figsize=(8, 5)).add_subplot()
    explain_map.draw_map(axes, explanation)
    return axes


def test_the_map_has_its_units_and_says_where_you_are(made: Explanation) -> None:
    """Both axes are logarithmic, the legend has every candidate that wins somewhere and the link."""
    axes = drawn(made)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("bandwidth", "round trip")
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:-1] == [short_name(candidate) for candidate in made.map.candidates]
    assert legend[-1] == "you are here: 5.00 Mbps, 40.0 ms"
    assert axes.xaxis.get_major_formatter()(1e6) == "1 Mbps"
    assert made.objective.name in axes.get_title(loc="left")


def test_the_link_is_a_star_on_its_line(made: Explanation) -> None:
    """At its own bandwidth and round trip."""
    (star,) = [line for line in drawn(made).lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (made.link.bandwidth_bps, made.link.rtt_s)


def test_a_link_without_a_round_trip_lies_on_the_lower_edge(made: Explanation) -> None:
    """Nothing has no place on a logarithmic axis."""
    (star,) = [line for line in drawn(replace(made, link=Link(5e6, 0.0))).lines if line.get_marker() == "*"]
    assert star.get_ydata()[0] == made.map.rtts_s[0]


def test_labels_are_those_of_large_regions(made: Explanation) -> None:
    """Each name at most once, within the map."""
    texts = drawn(made).texts
    names = [text.get_text() for text in texts]
    assert names
    assert len(set(names)) == len(names)
    assert set(names) <= {short_name(candidate) for candidate in made.map.candidates}
    for text in texts:
        bandwidth_bps, rtt_s = text.get_position()
        assert made.map.bandwidths_bps[0] <= bandwidth_bps <= made.map.bandwidths_bps[-1]
        assert made.map.rtts_s[0] <= rtt_s <= made.map.rtts_s[-1]


def test_one_candidate_everywhere_is_one_colour(made: Explanation) -> None:
    """There is no border to draw."""
    grid = made.map
    alone = replace(grid, winners=np.zeros_like(grid.winners), candidates=grid.candidates[:1])
    axes = drawn(replace(made, map=alone))
    assert len(axes.get_legend().get_texts()) == 2
    assert [text.get_text() for text in axes.texts] == [short_name(grid.candidates[0])]
