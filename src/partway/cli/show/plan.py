"""Tables of a plan's stages and of its codecs, and the bar shown while codecs are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from partway.partitioner.decide.candidates import kept_share, plan_candidates, worthwhile
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.registry import RAW
from partway.units import show_bytes, show_s


def show_stages(plan: Plan) -> None:
    """Print a plan's stages."""
    Console(highlight=False).print(_stage_table(plan))


def show_plan(plan: Plan, max_drop: float, real: bool) -> None:
    """Print a plan's stages and codecs. ``real``: the codecs were measured on real inputs."""
    console = Console(highlight=False)
    console.print(_stage_table(plan))
    console.print(_codec_table(plan, max_drop))
    if not real:
        console.print("no --calibrate: lossy codecs are not admitted until their cost is measured on real inputs")


@contextmanager
def progress(title: str, total: int, quiet: bool = False) -> Iterator[Callable[[str, int], None]]:
    """A progress bar on a terminal. Yields a function of the current step and the number of complete ones."""
    with Progress(transient=True, disable=quiet or not Console().is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda what, completed: bar.update(task, completed=completed, description=what)


def _stage_table(plan: Plan) -> Table:
    table = Table(title=f"{plan.model}: {len(plan.stages)} stages", title_justify="left")
    for column in ("stage", "file", "size", "operators", "hands on", "bytes a frame"):
        table.add_column(column)
    seconds = plan.profiles[0]["stage_s"] if plan.profiles else ()
    if seconds:
        table.add_column("time here")
    for k, stage in enumerate(plan.stages):
        crossing = show_bytes(sum(spec.size_bytes() for spec in plan.crossing(k + 1)))
        row = [str(k), stage.file, show_bytes(stage.total_bytes), str(stage.operators), str(plan.cuts[k + 1]), crossing]
        table.add_row(*row, *([show_s(seconds[k])] if seconds else []))
    return table


def _codec_table(plan: Plan, max_drop: float) -> Table:
    """What crosses at each split: uncoded and with every useful codec; those within the budget are marked."""
    table = Table(title=f"what crosses (budget: {max_drop:g} points)", title_justify="left")
    for column in ("split", "codec", "mean bytes", "95 %", "coding", "equal", "right", "admitted"):
        table.add_column(column)
    admitted = {(c.k, c.codec) for c in plan_candidates(plan) if c.admitted(max_drop)}
    shown = {(k, codec) for k in range(len(plan.stages)) for codec in (RAW, *worthwhile(plan, k))}
    for entry in plan.candidates:
        key = (entry["k"], entry["codec"])
        if key not in shown and kept_share(entry) is not None:
            continue
        table.add_row(str(key[0]), key[1], *_codec_cells(entry), "yes" if key in admitted else "")
    return table


def _codec_cells(entry: Mapping[str, Any]) -> list[str]:
    """Sizes, coding time, and the shares of answers that stay equal and right."""
    shares = [share(entry.get(name)) for name in ("agreement", "accuracy")]
    if entry.get("agreement") is None and entry.get("relative_error") is not None:
        shares[0] = f"off {entry['relative_error']:.1%}"  # the model does not classify
    p95 = entry.get("bytes_p95")  # plans made by early versions lack it
    sizes = [show_bytes(entry["bytes_mean"]), "-" if p95 is None else show_bytes(p95)]
    return [*sizes, show_s(entry["encode_s"] + entry["decode_s"]), *shares]


def share(number: float | None) -> str:
    """A share in percent; ``-`` if it is unknown."""
    return "-" if number is None else f"{number:.1%}"
