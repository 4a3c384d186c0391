"""The part of ``partway plan`` that measures and fits codecs: its arguments, its progress and its table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from partway.engines.interface import Engine
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.calibrate.inputs import random_frames, read_frames
from partway.partitioner.calibrate.logits import before_softmax
from partway.partitioner.calibrate.run import PART_FILE, CodecCalibration, Notes, calibration_key
from partway.partitioner.decide.candidates import kept_share, plan_candidates, worthwhile
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.registry import RAW
from partway.units import show_bytes, show_s


def calibration_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway plan`` about codecs."""
    add = parser.add_argument
    add("--calibrate", type=Path, metavar="DIR|NPZ", help="real inputs to measure and fit codecs on")
    add("--frames", type=int, default=64, metavar="N", help="of them, at most this many (default: 64)")
    add("--truth", type=Path, metavar="JSON", help="right classes, file name to number, to measure accuracy as well")
    add(
        "--truth-offset",
        type=int,
        default=0,
        metavar="N",
        help="added to every class given",
    )
    add("--max-drop", type=float, default=1.0, metavar="PP", help="what a codec may cost, points (default: 1)")


def calibration_frames(args: argparse.Namespace, plan: Plan) -> list[CalibrationFrame]:
    """What ``--calibrate`` names, random frames without it."""
    if args.calibrate is None:
        return random_frames(plan)
    return read_frames(args.calibrate, plan, args.frames, args.truth, args.truth_offset)


def calibrated(chain: Chain, engine: Engine, frames: Sequence[CalibrationFrame], out: Path, real: bool) -> Plan:
    """The plan with its codecs and candidates. Unless the frames are ``real``, nothing is fitted or said of answers."""
    notes = Notes(out / PART_FILE if real else None, calibration_key(chain.plan, frames))
    last = before_softmax(out, chain.plan, engine) if real else None
    work = CodecCalibration(chain, chain.plan.preprocess, frames, notes, fitted=real, last_stage=last)
    with Progress(transient=True, disable=not Console().is_terminal) as progress:
        task = progress.add_task("codecs", total=len(chain.plan.stages))
        for what, splits, _ in work.steps():
            progress.update(task, completed=splits, description=what)
    unknown = dict.fromkeys(("agreement", "relative_error", "cosine"))
    entries = [entry if real else {**entry, **unknown} for entry in work.entries]
    return replace(chain.plan, codecs=tuple(work.codecs), candidates=tuple(entries))


def done(out: Path) -> None:
    """The plan is written: what a calibration would go on from is not needed any more."""
    (out / PART_FILE).unlink(missing_ok=True)


def codec_table(plan: Plan, max_drop: float) -> Table:
    """What crosses at each split: uncoded, and every codec that might be chosen, those within the budget marked."""
    table = Table(title=f"what crosses (budget: {max_drop:g} points)", title_justify="left")
    for column in ("split", "codec", "mean bytes", "95 %", "coding", "equal", "right", "admitted"):
        table.add_column(column)
    admitted = {(c.k, c.codec) for c in plan_candidates(plan) if c.admitted(max_drop)}
    shown = {(k, codec) for k in range(len(plan.stages)) for codec in (RAW, *worthwhile(plan, k))}
    for entry in plan.candidates:
        key = (entry["k"], entry["codec"])
        if key not in shown and kept_share(entry) is not None:
            continue
        sizes = (show_bytes(entry["bytes_mean"]), show_bytes(entry["bytes_p95"]))
        times = show_s(entry["encode_s"] + entry["decode_s"])
        shares = [_share(entry.get(name)) for name in ("agreement", "accuracy")]
        if entry.get("agreement") is None and entry.get("relative_error") is not None:
            shares[0] = f"off {entry['relative_error']:.1%}"  # of a model that does not classify
        table.add_row(str(key[0]), key[1], *sizes, times, *shares, "yes" if key in admitted else "")
    return table


def _share(number: float | None) -> str:
    return "-" if number is None else f"{number:.1%}"
