"""What the charts have in common: colours, units along axes, legends below."""

import pytest

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from partway import chart_style as style
from partway.chart_style import legend, units
from partway.units import show_bps, show_s

COLOURS = ("BLUE", "SKY", "GREEN", "ORANGE", "RED", "PINK", "YELLOW", "GREY")


def labels(figure: Figure) -> list[str]:
    """The labels along the x axis, as they are drawn."""
    axes = figure.axes[0]
    formatter = axes.xaxis.get_major_formatter()
    return [formatter(value) for value in axes.get_xticks()]


def test_colours_are_told_apart() -> None:
    """No two are the same."""
    assert len({getattr(style, name) for name in COLOURS}) == len(COLOURS)


def test_an_axis_has_its_quantities_with_units() -> None:
    """With no more digits than they have; nothing stands as a plain 0."""
    figure = Figure()
    axes = figure.add_subplot()
    axes.set_xticks([0.0, 0.001, 0.0025, 1.0])
    units(axes, "x", show_s)
    assert labels(figure) == ["0", "1 ms", "2.5 ms", "1 s"]


def test_a_logarithmic_axis_has_few_ticks() -> None:
    """Powers of ten over many decades; 1, 2 and 5 over few."""
    for high, subs in ((1e9, {"1"}), (5e6, {"1", "2", "5"})):
        figure = Figure()
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_xlim(1e5, high)
        units(axes, "x", show_bps)
        first = {f"{value:e}"[0] for value in axes.get_xticks()}
        assert first == subs
        assert len(axes.get_xticks()) <= 14


def test_the_y_axis_is_the_other_one() -> None:
    """Units go to the axis that is named."""
    figure = Figure()
    axes = figure.add_subplot()
    units(axes, "y", show_s)
    assert axes.yaxis.get_major_formatter()(0.002) == "2 ms"
    assert "ms" not in axes.xaxis.get_major_formatter()(0.002)


@pytest.mark.parametrize("height", [2.0, 12.0])
def test_a_legend_lies_as_far_below_a_tall_chart_as_below_a_low_one(height: float) -> None:
    """Half an inch under the axes."""
    figure = Figure(figsize=(6, height))
    axes = figure.add_subplot()
    axes.plot([1, 2], label="one")
    legend(axes, None, 1)
    figure.canvas.draw()  # type: ignore[attr-defined]
    box = axes.get_legend().get_window_extent()
    assert (axes.get_window_extent().y0 - box.y1) / figure.dpi == pytest.approx(0.5, abs=0.15)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one"]
