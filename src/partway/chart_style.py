"""What the charts have in common: colours, units along axes, legends below.

Colours are Okabe and Ito's, told apart with every kind of colour vision (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

BLUE, SKY, GREEN, ORANGE, RED, PINK, YELLOW, GREY = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#F0E442", "#8C8C8C"
)  # fmt: skip


def legend(axes: Axes, handles: list[Any] | None, columns: int) -> None:
    """Under the name of the axis, as far below however tall the chart is."""
    figure: Any = axes.figure
    lowered = axes.transAxes + ScaledTranslation(0, -0.5, figure.dpi_scale_trans)
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=lowered, ncols=columns,
        frameon=False, fontsize=9,
    )  # fmt: skip


def units(axes: Axes, which: str, show: Callable[[float], str]) -> None:
    """Quantities with their units along the ``x`` or ``y`` axis."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(show(value)) if value > 0 else "0"))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=12))
        axis.set_minor_formatter(NullFormatter())


def _short(text: str) -> str:
    """``1.00 Mbps`` as ``1 Mbps``: the labels of an axis need no more digits than they have."""
    number, _, unit = text.partition(" ")
    return f"{float(number):g} {unit}"
