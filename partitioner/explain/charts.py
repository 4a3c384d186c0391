"""Charts of an explanation, through matplotlib: each draws itself onto axes; and one large picture of them all."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from partway.chart_style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, legend, units
from partway.partitioner.decide.candidates import short_name
from partway.partitioner.explain.crossover_map import draw_map
from partway.partitioner.explain.explanation import Explanation, rivals
from partway.units import shortened, shortened_names, show_bytes, show_s

MARKERS = "osD^vP*Xd<>ph"
MOST_ROWS = 14
MOST_OPERATORS = 25
LABEL_CELLS = 6.5
"""Columns of the map per letter of a label."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its heading and its alternative text."""

    heading: str
    text: str
    figure: Figure


def charts(explanation: Explanation) -> list[Chart]:
    """Every chart that the explanation has data for, each a figure of its own."""
    drawn = [
        Chart(heading, text, _figure(explanation, draw, height))
        for heading, text, draw, height in (
            ("Which candidate wins on which link", "bandwidth against round trip", draw_map, 5.2),
            (
                "Where the time of a frame goes",
                "seconds per part and candidate",
                draw_parts,
                _tall(_shown(explanation)),
            ),
            (
                "What crosses at each split",
                "bytes per split and codec",
                draw_bytes,
                1.8 + 0.5 * len(explanation.plan.cuts),
            ),
            ("Time per stage", "seconds per stage on both sides", draw_stages, _tall(len(explanation.plan.stages) * 2)),
        )
    ]
    if explanation.device.operators or explanation.cloud.operators:
        rows = min(MOST_OPERATORS, len(_operator_names(explanation))) * 2
        text = "seconds per operator on both sides"
        drawn.append(Chart("Time per operator", text, _figure(explanation, draw_operators, _tall(rows))))
    return drawn


def picture(explanation: Explanation) -> Figure:
    """All charts on one sheet."""
    draws: list[Callable[[Axes, Explanation], None]] = [draw_map, draw_parts, draw_bytes, draw_stages]
    if explanation.device.operators or explanation.cloud.operators:
        draws.append(draw_operators)
    heights = [6.2, 6.2, 9.5][: (len(draws) + 1) // 2]
    figure = Figure(figsize=(18, sum(heights)), layout="constrained", facecolor="white")
    figure.suptitle(f"{explanation.plan.model}: {explanation.chosen.name} on {explanation.link}", fontsize=15)
    sheets: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    for index, sheet in enumerate(sheets.flat):
        part = draws[index * 2 : index * 2 + 2]
        for draw, axes in zip(part, np.atleast_1d(sheet.subplots(1, len(part))), strict=True):
            draw(axes, explanation)
    return figure


def save_png(explanation: Explanation, path: Path) -> None:
    """The sheet as a PNG file. Raises OSError when it cannot be written."""
    picture(explanation).savefig(path, format="png", dpi=110)


def svg_uri(figure: Figure) -> str:
    """A figure as an SVG ``data:`` address, with text as outlines so that it looks the same everywhere."""
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(out.getvalue()).decode()}"


def draw_parts(axes: Axes, explanation: Explanation) -> None:
    """Seconds of each part of a frame, per candidate, best on top."""
    rows = explanation.rows[: _shown(explanation)]
    parts = (("prefix on the device", "prefix_s", BLUE), ("encode", "encode_s", SKY), ("link", "link_s", GREY),
             ("decode and suffix in the cloud", "cloud_s", ORANGE))  # fmt: skip
    starts = np.zeros(len(rows))
    for label, part, colour in parts:
        seconds = np.array([getattr(row.estimate, part) for row in rows])
        for bar, row in zip(
            axes.barh(range(len(rows)), seconds, 0.72, starts, color=colour, label=label), rows, strict=True
        ):
            bar.set_alpha(0.35 if row.excluded else 1.0)
        starts = starts + seconds
    for at, row in enumerate(rows):
        mark = "  excluded" if row.excluded else ""
        guessed = explanation.marks(row.candidate)[2]
        axes.text(starts[at], at, f" {guessed}{show_s(float(starts[at]))}{mark}", va="center", fontsize=8.5)
    _rows(axes, [short_name(row.candidate) for row in rows], float(starts.max()))
    more = len(explanation.rows) - len(rows)
    title = f"where a frame's time goes on {explanation.link}" + (f" ({more} more not shown)" if more else "")
    axes.set_title(title, loc="left")
    legend(axes, None, 4)
    axes.set_xlabel("time of a frame")
    units(axes, "x", show_s)


def draw_bytes(axes: Axes, explanation: Explanation) -> None:
    """Bytes at every split and codec, the raw input, JPEG and WebP as lines to beat."""
    plan = explanation.plan
    sending = [row for row in explanation.rows if row.candidate.codec is not None]
    codecs = sorted({str(row.candidate.codec) for row in sending})
    palette = (BLUE, RED, GREEN, ORANGE, PINK, SKY, "black")
    for index, codec in enumerate(codecs):
        mine = [row.candidate for row in sending if row.candidate.codec == codec]
        axes.plot(
            [c.size_bytes for c in mine], [c.k for c in mine], linestyle="", marker=MARKERS[index % len(MARKERS)],
            color=palette[index % len(palette)], markersize=8, alpha=0.9, label=codec,
        )  # fmt: skip
    for (label, size), style in zip(rivals(explanation), ("-", "--", ":"), strict=False):
        axes.axvline(
            size, color="#444444", linewidth=1.1, linestyle=style, zorder=0, label=f"{label}: {show_bytes(size)}"
        )
    names = [shortened(plan.cut_names[k], 26) for k in range(len(plan.stages))]
    axes.set_yticks(range(len(names)), [f"{k}: {name}" for k, name in enumerate(names)])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xscale="log", xlabel="bytes a frame, message and all", ylabel="split: what crosses")
    axes.grid(axis="both", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title("what crosses at each split", loc="left")
    legend(axes, None, 4)
    units(axes, "x", show_bytes)


def draw_stages(axes: Axes, explanation: Explanation) -> None:
    """Seconds per stage on device and cloud."""
    names = [f"stage {index}\nto {shortened(cut, 26)}" for index, cut in enumerate(explanation.plan.cut_names[1:])]
    _pairs(axes, explanation, names, explanation.device.stage_s, explanation.cloud.stage_s)
    axes.set_title("time per stage", loc="left")


def draw_operators(axes: Axes, explanation: Explanation) -> None:
    """Seconds of the operators that take longest, on device and cloud where their profiles have them."""
    names = _operator_names(explanation)
    shown = names[:MOST_OPERATORS]
    sides = [{one.name: one.time_s for one in machine.operators} for machine in (explanation.device, explanation.cloud)]
    kinds = {one.name: one.kind for machine in (explanation.device, explanation.cloud) for one in machine.operators}
    names_shown = shortened_names(shown, 26)
    labels = [f"{names_shown[name]} ({kinds[name]})" for name in shown]
    device_s, cloud_s = ([times.get(name, 0.0) for name in shown] if times else None for times in sides)
    _pairs(axes, explanation, labels, device_s, cloud_s)
    axes.set_title(f"time per operator (the {len(shown)} slowest of {len(names)})", loc="left")


def _pairs(
    axes: Axes,
    explanation: Explanation,
    names: list[str],
    device: Sequence[float] | None,
    cloud: Sequence[float] | None,
) -> None:
    sides = [("device", explanation.device, device, BLUE), ("cloud", explanation.cloud, cloud, ORANGE)]
    timed = [(side, machine, seconds, colour) for side, machine, seconds, colour in sides if seconds is not None]
    height = 0.8 / len(timed)
    for index, (side, machine, seconds, colour) in enumerate(timed):
        label = f"{side}: {machine.name}" + (
            f" (predicted, ±{machine.predicted.error:.0%})" if machine.predicted else ""
        )
        at = np.arange(len(names)) + (index - (len(timed) - 1) / 2) * height
        axes.barh(at, seconds, height=height * 0.92, color=colour, label=label)
        for y, value in zip(at, seconds, strict=True):
            axes.text(value, float(y), f" {machine.mark}{show_s(value)}", va="center", fontsize=8)
    _rows(axes, names, max(max(seconds) for *_, seconds, _ in timed))
    legend(axes, None, 1)
    axes.set_xlabel("time")
    units(axes, "x", show_s)


def _operator_names(explanation: Explanation) -> list[str]:
    longest: dict[str, float] = {}
    for one in (*explanation.device.operators, *explanation.cloud.operators):
        longest[one.name] = max(one.time_s, longest.get(one.name, 0.0))
    return sorted(longest, key=lambda name: -longest[name])


def _figure(explanation: Explanation, draw: Callable[[Axes, Explanation], None], height: float) -> Figure:
    figure = Figure(figsize=(10.5, height), layout="constrained", facecolor="white")
    draw(figure.add_subplot(), explanation)
    return figure


def _tall(rows: int) -> float:
    return 1.9 + 0.3 * rows


def _shown(explanation: Explanation) -> int:
    return min(MOST_ROWS, len(explanation.rows))


def _rows(axes: Axes, names: list[str], longest: float) -> None:
    """Put names on the left axis, the first on top, and leave room for numbers on the right."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, (longest or 1.0) * 1.18)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
