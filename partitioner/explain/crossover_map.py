"""The crossover map: bandwidth against round trip, coloured by which candidate wins."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from partway.chart_style import BLUE, GREEN, ORANGE, PINK, RED, SKY, YELLOW, legend, units
from partway.partitioner.decide.candidates import short_name
from partway.partitioner.explain.explanation import CrossoverMap, Explanation
from partway.units import show_bps, show_s

Mask = np.ndarray[Any, np.dtype[np.bool_]]
REGIONS = (SKY, ORANGE, GREEN, PINK, YELLOW, BLUE, RED)
HATCHES = ("", "///", "...", "xxx")
"""Hatches; the next one for each further use of the same colours."""
LABEL_CELLS = 6.5
"""Columns of the map per letter of a label."""
CLEAR_CELLS = 10
"""Labels keep this many rows of distance from the link's line."""


def draw_map(axes: Axes, explanation: Explanation) -> None:
    """The map, with the link as a point and its round trip as a line."""
    _draw_regions(axes, explanation.map)
    link = explanation.link
    rtt_s = max(link.rtt_s, explanation.map.rtts_s[0])
    _label_regions(axes, explanation.map, rtt_s)
    dashes = (0, (4, 4))
    axes.axhline(rtt_s, color="black", linewidth=0.8, linestyle=dashes)
    axes.plot(link.bandwidth_bps, rtt_s, "*", markersize=17, color="black", markeredgecolor="white", clip_on=False)
    here = f"you are here: {show_bps(link.bandwidth_bps)}, {show_s(link.rtt_s)}"
    star = Line2D([], [], marker="*", color="black", markersize=12, linestyle=dashes, linewidth=0.8, label=here)
    legend(axes, [*_patches(explanation.map), star], 3)
    axes.set(xscale="log", yscale="log", xlabel="bandwidth", ylabel="round trip")
    axes.set_title(f"which candidate wins ({explanation.objective.name})", loc="left")
    units(axes, "x", show_bps)
    units(axes, "y", show_s)


def _draw_regions(axes: Axes, grid: CrossoverMap) -> None:
    colours = [patch.get_facecolor() for patch in _patches(grid)]
    axes.pcolormesh(
        grid.bandwidths_bps, grid.rtts_s, grid.winners, cmap=ListedColormap(colours), vmin=-0.5,
        vmax=len(colours) - 0.5, shading="nearest", rasterized=True,
    )  # fmt: skip
    for index, patch in enumerate(_patches(grid)):
        if len(colours) > 1:
            inside = np.asarray(grid.winners == index, dtype=float)
            axes.contour(grid.bandwidths_bps, grid.rtts_s, inside, levels=[0.5], colors="white", linewidths=1.2)
            if patch.get_hatch():
                axes.contourf(
                    grid.bandwidths_bps,
                    grid.rtts_s,
                    inside,
                    levels=[0.5, 1.5],
                    colors="none",
                    hatches=[patch.get_hatch()],
                )


def _patches(grid: CrossoverMap) -> list[Patch]:
    """The colour and hatch of each candidate's region."""
    looks = [
        (_tint(REGIONS[i % len(REGIONS)]), HATCHES[i // len(REGIONS) % len(HATCHES)])
        for i in range(len(grid.candidates))
    ]
    return [
        Patch(facecolor=colour, hatch=hatch, label=short_name(candidate))
        for candidate, (colour, hatch) in zip(grid.candidates, looks, strict=True)
    ]


def _tint(colour: str, white: float = 0.35) -> tuple[float, float, float]:
    """Lighter, so that black letters read well on it."""
    red, green, blue = (channel + (1 - channel) * white for channel in to_rgb(colour))
    return red, green, blue


def _label_regions(axes: Axes, grid: CrossoverMap, line_s: float) -> None:
    """Names inside the regions that have room for them, far from their borders and from the line of the link."""
    line = int(np.searchsorted(grid.rtts_s, line_s))
    for index, candidate in enumerate(grid.candidates):
        region = grid.winners == index
        clear = region.copy()
        clear[max(0, line - CLEAR_CELLS) : line + CLEAR_CELLS] = False
        row, column = _innermost(clear if clear.any() else region)
        text = short_name(candidate)
        (left, right), (low, high) = _run(clear[row], column), _run(clear[:, column], row)
        across, down = right - left, high - low
        if max(across, down) < len(text) * LABEL_CELLS or min(across, down) < 3 * LABEL_CELLS:
            continue
        flat = across >= len(text) * LABEL_CELLS
        column, row = ((left + right) // 2, row) if flat else (column, (low + high) // 2)
        axes.text(
            grid.bandwidths_bps[column], grid.rtts_s[row], text, ha="center", va="center", rotation=0 if flat else 90,
            fontsize=10, fontweight="bold", path_effects=[withStroke(linewidth=3, foreground="white", alpha=0.75)],
        )  # fmt: skip


def _innermost(mask: Mask) -> tuple[int, int]:
    """Row and column of the last cell left when the region is eroded from all sides."""
    while True:
        padded = np.pad(mask, 1)
        worn = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        if not worn.any():
            cells = np.argwhere(mask)
            row, column = cells[len(cells) // 2]
            return int(row), int(column)
        mask = worn


def _run(line: Mask, at: int) -> tuple[int, int]:
    """Begin and end of the run of true cells around one of them."""
    before = np.flatnonzero(~line[:at])
    after = np.flatnonzero(~line[at:])
    return int(before[-1]) + 1 if len(before) else 0, int(after[0]) + at if len(after) else len(line)
