"""Tables of a plan's stages and of its codecs, and the bar shown while codecs are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from partway.cli.show.console import Console
from partway.partitioner.decide.candidates import kept_share, plan_candidates, worthwhile
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.registry import RAW
from partway.tasks.registry import measure_of
from partway.units import show_bytes, show_s


def show_stages(plan: Plan) -> None:
    """Print a plan's stages."""
    console = Console(highlight=False)
    console.print(_stage_table(plan))
    _show_guesses(console, plan)


def show_plan(plan: Plan, max_drop: float, real: bool) -> None:
    """Print a plan's stages and codecs. ``real``: the codecs were measured on real inputs."""
    console = Console(highlight=False)
    console.print(_stage_table(plan))
    console.print(_codec_table(plan, max_drop))
    if plan.profiles and plan.profiles[0].get("busy"):
        console.print(f"time here: {plan.profiles[0]['busy']}", markup=False, soft_wrap=True)
    _show_guesses(console, plan)
    if not real:
        console.print("no --calibrate: lossy codecs are not admitted until their cost is measured on real inputs")
    elif sentence := _uninformative(plan):
        console.print(sentence, markup=False, soft_wrap=True)


def _uninformative(plan: Plan) -> str:
    """A sentence on calibration inputs in whose answers the unsplit model finds nothing; empty if there are none."""
    entry = next((entry for entry in plan.candidates if entry["codec"] == RAW), {})
    frames, compared = entry.get("frames", 0), entry.get("compared", entry.get("frames", 0))
    if compared == frames:
        return ""
    if compared:
        return f"the model finds nothing in {frames - compared} of {frames} inputs; they do not count as agreement"
    return (
        f"warning: the model finds nothing in any of the {frames} inputs, so codecs are judged by the relative error of"
        " the outputs; calibrate with inputs that show what the model looks for"
    )


def _show_guesses(console: Console, plan: Plan) -> None:
    """Print what nobody said of the model's pictures and answers."""
    for sentence in plan.guesses:
        console.print(f"guess: {sentence}", markup=False, soft_wrap=True)


def show_notes(notes: Iterable[str], stderr: bool = False) -> None:
    """Print what was kept, replaced or outdated, a line each; ``stderr`` where the output is JSON."""
    for note in notes:
        Console(highlight=False, stderr=stderr).print(note, markup=False, soft_wrap=True)


@contextmanager
def progress(title: str, total: int, quiet: bool = False) -> Iterator[Callable[[str, int], None]]:
    """A progress bar on a terminal. Yields a function of the current step and the number of complete ones."""
    with Progress(transient=True, disable=quiet or not Console().is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda what, completed: bar.update(task, completed=completed, description=what)


def _stage_table(plan: Plan) -> Table:
    table = Table(title=f"{plan.model}: {len(plan.stages)} stages", title_justify="left")
    for column in ("stage", "file", "size", "operators", "hands on", "bytes a frame"):
        table.add_column(column, overflow="fold")
    seconds = plan.profiles[0]["stage_s"] if plan.profiles else ()
    if seconds:
        table.add_column("time here")
    for k, stage in enumerate(plan.stages):
        crossing = show_bytes(sum(spec.size_bytes() for spec in plan.crossing(k + 1)))
        row = [str(k), stage.file, show_bytes(stage.total_bytes), str(stage.operators), plan.cut_names[k + 1], crossing]
        table.add_row(*map(Text, row), *([show_s(seconds[k])] if seconds else []))
    return table


def _codec_table(plan: Plan, max_drop: float) -> Table:
    """What crosses at each split: uncoded and with every useful codec; those within the budget are marked."""
    table = Table(title=f"what crosses (budget: {max_drop:g} points)", title_justify="left")
    for column in ("split", "codec", "mean bytes", "95 %", "coding", measure_of(plan.output), "right", "admitted"):
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
    """Sizes, coding time, the agreement with the unsplit model, and the share of right answers."""
    shares = [share(entry.get(name)) for name in ("agreement", "accuracy")]
    if entry.get("agreement") is None and entry.get("relative_error") is not None:
        shares[0] = f"off {entry['relative_error']:.1%}"  # older plans, or nothing to compare
    p95 = entry.get("bytes_p95")  # plans made by early versions lack it
    sizes = [show_bytes(entry["bytes_mean"]), "-" if p95 is None else show_bytes(p95)]
    return [*sizes, show_s(entry["encode_s"] + entry["decode_s"]), *shares]


def share(number: float | None) -> str:
    """A share in percent; ``-`` if it is unknown."""
    return "-" if number is None else f"{number:.1%}"
