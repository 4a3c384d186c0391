"""The chart of a replay: the capacity of the link, and the split and the time of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from partway.chart_style import BLUE, GREEN, GREY, ORANGE, RED, units
from partway.edge.emulator.replay import Answered
from partway.edge.emulator.summary import missed
from partway.edge.pipeline.result import NOBODY
from partway.units import show_bps, show_s

Capacity = tuple[Sequence[float], Sequence[float]]
BIN_S = 0.5
COLOURS = {"cloud": BLUE, "device": GREEN, NOBODY: RED}


def draw(
    frames: Sequence[Answered], stages: int, capacity: Capacity | None, deadline_s: float | None, heading: str
) -> Figure:
    """Draw three charts over one axis of seconds. ``capacity``: times (s) and bits per second of the link, if known."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    figure.suptitle(heading, x=0.01, ha="left")
    rows: tuple[Axes, Axes, Axes] = figure.subplots(3, 1, sharex=True, height_ratios=(2, 2, 3))
    _link(rows[0], capacity)
    _splits(rows[1], frames, stages)
    _times(rows[2], frames, deadline_s)
    rows[2].set_xlabel("seconds from the first frame")
    for axes in rows:
        axes.grid(alpha=0.25)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Save the figure as PNG."""
    figure.savefig(path, dpi=120, format="png")


def _link(axes: Axes, capacity: Capacity | None) -> None:
    axes.set_ylabel("link, up")
    if capacity is not None:
        axes.fill_between(*capacity, step="post", color=GREY, alpha=0.5, linewidth=0)
        axes.set_ylim(bottom=0)
        units(axes, "y", show_bps)


def _splits(axes: Axes, frames: Sequence[Answered], stages: int) -> None:
    codecs = sorted({answered.result.codec or "" for answered in frames})
    for index, codec in enumerate(codecs):
        some = [a for a in frames if (a.result.codec or "") == codec]
        colour = (ORANGE, BLUE, RED, GREY, GREEN)[index % 5]
        axes.plot(
            [a.at_s for a in some], [a.result.cut for a in some], ".", color=colour, label=codec or "nothing sent"
        )
    axes.set_ylabel(f"split\n(0 cloud, {stages} device)")
    axes.set_ylim(-0.3, stages + 0.3)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if frames:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def _times(axes: Axes, frames: Sequence[Answered], deadline_s: float | None) -> None:
    for who, colour in COLOURS.items():
        some = [a for a in frames if a.result.answered_by == who]
        if some:
            axes.plot([a.at_s for a in some], [a.result.total_s for a in some], ".", color=colour, label=f"by {who}")
    late = [a for a in frames if missed(a.result, deadline_s)]
    if late:
        axes.plot([a.at_s for a in late], [a.result.total_s for a in late], "o", mfc="none", color=RED, label="missed")
    if deadline_s is not None:
        axes.axhline(deadline_s, color=RED, linewidth=1, linestyle="--", label="deadline")
    axes.set_ylabel("time of a frame")
    if frames:
        axes.set_yscale("log")
        units(axes, "y", show_s)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
