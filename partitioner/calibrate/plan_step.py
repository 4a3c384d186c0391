"""The part of ``partway plan`` that measures and fits codecs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from partway.engines.interface import Engine
from partway.partitioner.calibrate.accuracy import CalibrationFrame, in_sequence
from partway.partitioner.calibrate.logits import before_softmax
from partway.partitioner.calibrate.run import PART_FILE, CodecCalibration, Notes, calibration_key
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan


def calibrated(
    chain: Chain,
    engine: Engine,
    frames: Sequence[CalibrationFrame],
    folder: Path,
    notes: Path | None,
    advance: Callable[[str, int], None] = lambda what, splits: None,
) -> Plan:
    """The plan with its codecs and candidates. ``folder`` holds the stage files.

    ``notes`` is the folder for the notes of an interrupted calibration; None says that the frames are not real, and
    then no codec is fitted and no answer compared. ``advance`` is called with the current step and the number of
    complete splits.
    """
    frames = in_sequence(chain, frames)
    real = notes is not None
    pieces = Notes(None if notes is None else notes / PART_FILE, calibration_key(chain.plan, frames))
    last = before_softmax(folder, chain.plan, engine) if real else None
    work = CodecCalibration(chain, chain.plan.preprocess, frames, pieces, fitted=real, last_stage=last)
    for what, splits, _ in work.steps():
        advance(what, splits)
    unknown = dict.fromkeys(("agreement", "relative_error", "cosine"))
    entries = [entry if real else {**entry, **unknown} for entry in work.entries]
    return replace(chain.plan, codecs=tuple(work.codecs), candidates=tuple(entries))


def remove_notes(out: Path) -> None:
    """Delete the notes of a calibration whose plan is written."""
    (out / PART_FILE).unlink(missing_ok=True)
