"""Run real inputs through every (split, codec) of a plan; an interrupted run continues where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from partway.partitioner.calibrate.accuracy import (
    CalibrationFrame,
    UnsplitAnswers,
    codecs_of,
    measure_codec,
    unsplit_answers,
)
from partway.partitioner.calibrate.fit_split import fit_split
from partway.partitioner.calibrate.logits import LastStage
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto.codecs.registry import is_fitted
from partway.proto.codecs.transform.codebook import codebook

Array = np.ndarray[Any, Any]
CandidateEntry = dict[str, Any]
LEAST_AGREEMENT = 0.9
"""Fitted codecs with less agreement are measured but left out of the plan."""
PART_FILE = "calibration.part"


class Notes:
    """Finished pieces of a calibration, one JSON line each in a file; a damaged last line is measured again."""

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key = path, key
        self._pieces: dict[str, Any] = {}
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    note = json.loads(line)
                    if note["of"] == key:
                        self._pieces[note["what"]] = note["data"]
                except (ValueError, TypeError, KeyError):
                    continue

    def get(self, what: str) -> Any:
        """The recorded data of a piece, or None."""
        return self._pieces.get(what)

    def add(self, what: str, data: Any) -> None:
        """Note a finished piece."""
        self._pieces[what] = data
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"of": self._key, "what": what, "data": data}) + "\n")

    def close(self) -> None:
        """Delete the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def calibration_key(plan: Plan, frames: Sequence[CalibrationFrame]) -> str:
    """A key that changes with the model, its cuts or the frames."""
    digest = hashlib.sha256(replace(plan, codecs=()).digest.encode())
    for frame in frames:
        for name, array in frame.values.items():
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        digest.update(str(frame.label).encode())
    return digest.hexdigest()


class CodecCalibration:
    """The pieces of work, split by split.

    ``fitted`` says whether codecs are to be fitted to the frames, ``pruned`` whether only those are kept that no other
    beats; ``last_stage`` what stands in for the last stage while fitting.
    """

    def __init__(
        self,
        chain: Chain,
        preprocess: Preprocess | None,
        frames: Sequence[CalibrationFrame],
        notes: Notes,
        fitted: bool,
        pruned: bool = True,
        last_stage: LastStage | None = None,
    ) -> None:
        self.chain, self.preprocess, self.notes, self.fitted = chain, preprocess, notes, fitted
        self.pruned, self.last_stage = pruned, last_stage
        self.unsplit: UnsplitAnswers = unsplit_answers(chain, frames, last_stage)
        self.codecs: list[CandidateEntry] = []
        self.entries: list[CandidateEntry] = []

    def steps(self) -> Iterator[tuple[str, int, int]]:
        """Run all pieces; yields (next step, splits done, number of splits)."""
        lives = [dict(frame.values) for frame in self.unsplit.frames]
        pictures = all(frame.pixels is not None for frame in self.unsplit.frames)
        last = len(self.chain.plan.stages)
        for k in range(last):
            lives = [self.chain.run(live, k - 1, k) for live in lives] if k else lives
            lives = [_needed(self.chain.plan, live, k) for live in lives]
            fitting = self.fitted and not (k == 0 and pictures)
            yield f"split {k}: fitting", k, last
            fitted = self._fitted(k, lives) if fitting else []
            book = codebook(fitted)
            for codec in codecs_of(self.chain.plan, k, pictures, book):
                yield f"split {k}: {codec}", k, last
                self.entries.append(self._measured(k, codec, lives, book))
            self.codecs += fitted
        if self.pruned:
            self._prune()

    def _fitted(self, k: int, lives: Sequence[Mapping[str, Array]]) -> list[CandidateEntry]:
        found: list[CandidateEntry] | None = self.notes.get(f"fit {k}")
        if found is None:
            found = fit_split(self.chain, k, lives, self.last_stage)
            self.notes.add(f"fit {k}", found)
        return found

    def _measured(self, k: int, codec: str, lives: Sequence[Mapping[str, Array]], book: Any) -> CandidateEntry:
        found: CandidateEntry | None = self.notes.get(f"{k} {codec}")
        if found is None:
            found = measure_codec(self.chain, self.preprocess, self.unsplit, lives, k, codec, book, self.last_stage)
            self.notes.add(f"{k} {codec}", found)
        return found

    def _prune(self) -> None:
        """Drop the fitted codecs that another one beats in both bytes and agreement."""
        plan = self.chain.plan
        chosen: set[tuple[str, str]] = set()
        for k in range(len(plan.stages)):
            for codec in _frontier([e for e in self.entries if e["k"] == k and is_fitted(e["codec"])]):
                chosen |= {(value, codec) for value in plan.cuts[k].values}
        used = [e for e in self.entries if not is_fitted(e["codec"]) or self._is_chosen(e, chosen)]
        self.entries = used
        remaining = []
        for entry in self.codecs:
            some = [q for q in entry["qualities"] if (entry["value"], q["name"]) in chosen]
            if some:
                remaining.append({**entry, "qualities": some})
        self.codecs = remaining

    def _is_chosen(self, entry: CandidateEntry, chosen: set[tuple[str, str]]) -> bool:
        return any((value, entry["codec"]) in chosen for value in self.chain.plan.cuts[entry["k"]].values)


def _needed(plan: Plan, live: Mapping[str, Array], k: int) -> dict[str, Array]:
    """The values that cross at k, and the model outputs that the prefix made."""
    names = {*plan.cuts[k].values, *plan.outputs}
    return {name: array for name, array in live.items() if name in names}


def _frontier(entries: Sequence[CandidateEntry]) -> list[str]:
    """Codec names, smallest first, each with more agreement (or less error) than all before it."""
    names: list[str] = []
    best = -np.inf
    for entry in sorted(entries, key=lambda e: float(e["bytes_mean"])):
        score = entry["agreement"]
        worth = -float(entry["relative_error"]) if score is None else score
        if worth > best and (score is None or score >= LEAST_AGREEMENT):
            names.append(str(entry["codec"]))
            best = worth
    return names
