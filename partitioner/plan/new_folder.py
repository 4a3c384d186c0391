"""A plan's folder while it is written anew: it appears as a whole, and what an earlier plan there measured is kept.

A calibration takes minutes and other people's pictures. So a plan of the same model and cuts inherits it, and one that
would lose it is refused unless the user insists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, plan_to_json
from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan
from partway.system.staging import staged

MEASURED = ("stages", "codecs", "candidates", "profiles", "twin_agreement", "model", "guesses")
"""Entries of a plan that may differ between two plans of equal meaning."""
OPTIONS = {
    "input": "--mean, --std, --scale, --fit or --channels",
    "output": "--labels or --task",
    "weights": "--random-weights",
    "examples": "--example",
    "state": "--state",
}
LARGEST_NOTE_BYTES = 1 << 24
"""A profile is smaller; larger JSON files beside a plan are not read."""


@dataclass
class NewFolder:
    """``folder`` is where the new files go, ``out`` where they end. ``notes`` is what the user should know."""

    out: Path
    folder: Path
    earlier: Plan | None
    force: bool
    notes: list[str] = field(default_factory=list)

    def inherit(self, plan: Plan, *, calibrates: bool = False, quantizes: bool = False) -> Plan:
        """The plan with all that the earlier one there measured and that still holds.

        ``calibrates`` and ``quantizes`` say what is about to be measured again. Raises InputError when something would
        be lost.
        """
        if self.earlier is None:
            return plan
        why = difference(plan, self.earlier)
        merged = plan if why else _merged(plan, self.earlier)
        lost = [
            what
            for what, had, has in (
                ("calibrated codecs", is_calibrated(self.earlier), calibrates or is_calibrated(merged)),
                ("int8 stages", has_twins(self.earlier), quantizes or has_twins(merged)),
            )
            if had and not has
        ]
        if why and not lost and self.earlier.model not in (plan.model, "") and self._other_model(plan):
            lost = ["stages of another model"]
        if lost and not self.force:
            raise InputError(
                f"{self.out} holds a plan of {self.earlier.model} with {' and '.join(lost)}, which would be lost"
                f" because {why}; give another --out, or --force to replace it"
            )
        kept = _kept(plan, merged, calibrates, quantizes)
        if kept:
            self.notes.append(f"kept from the earlier plan in {self.out}: {', '.join(kept)}")
        if lost:
            self.notes.append(f"replaced in {self.out}: a plan of {self.earlier.model} with {' and '.join(lost)}")
        return merged

    def _other_model(self, plan: Plan) -> bool:
        return self.earlier is not None and self.earlier.model_digest != plan.model_digest


@contextmanager
def new_folder(out: Path, force: bool = False, model: Path | None = None) -> Iterator[NewFolder]:
    """A plan's folder to write; its files replace those of an earlier plan in ``out`` when the block ends well.

    ``force``: replace whatever plan is there. ``model``: the file the plan is made of, which is never overwritten.
    Raises InputError for a plan.json in ``out`` that cannot be read, unless forced.
    """
    earlier = _earlier(out, force)
    with staged(out, PLAN_FILE, lambda part: _stale(earlier, load_plan(part))) as folder:
        new = NewFolder(out, folder, earlier, force)
        yield new
        plan = load_plan(folder)
        _check_model(model, out, plan)
        new.notes += _outdated(out, earlier, plan)


def difference(plan: Plan, earlier: Plan) -> str:
    """Why measurements of ``earlier`` do not hold for ``plan``; empty where they do."""
    if plan.model_digest != earlier.model_digest:
        return "the model file differs"
    if (plan.engine, plan.cuts) != (earlier.engine, earlier.cuts):
        return "its cuts differ"
    mine, theirs = (plan_to_json(one) for one in (plan, earlier))
    changed = [key for key in {**mine, **theirs} if key not in MEASURED and mine.get(key) != theirs.get(key)]
    if not changed:
        return ""
    options = [OPTIONS[key] for key in changed if key in OPTIONS]
    if options:
        return f"it was made with other {' and '.join(options)} (repeat them to keep it)"
    return f"its {' and '.join(changed)} differ"


def is_calibrated(plan: Plan) -> bool:
    """Whether codecs were measured on real inputs."""
    keys = ("agreement", "relative_error")
    return bool(plan.codecs) or any(entry.get(key) is not None for entry in plan.candidates for key in keys)


def has_twins(plan: Plan) -> bool:
    """Whether a stage has a file for another engine."""
    return any(stage.twins for stage in plan.stages)


def _merged(plan: Plan, earlier: Plan) -> Plan:
    """The plan with what only the earlier one has. Profiles name a digest, so they come last."""
    if not is_calibrated(plan) and earlier.candidates:
        plan = replace(plan, codecs=earlier.codecs, candidates=earlier.candidates)
    if not has_twins(plan):
        stages = (replace(mine, twins=theirs.twins) for mine, theirs in zip(plan.stages, earlier.stages, strict=True))
        plan = replace(plan, stages=tuple(stages), twin_agreement=earlier.twin_agreement)
    if not plan.profiles:
        plan = replace(plan, profiles=tuple(one for one in earlier.profiles if one.get("plan") == plan.digest))
    return plan


def _kept(plan: Plan, merged: Plan, calibrates: bool, quantizes: bool) -> list[str]:
    found = (
        ("calibrated codecs", not calibrates and is_calibrated(merged) and not is_calibrated(plan)),
        ("int8 stages", not quantizes and has_twins(merged) and not has_twins(plan)),
    )
    return [what for what, kept in found if kept]


def _earlier(out: Path, force: bool) -> Plan | None:
    if not (out / PLAN_FILE).is_file():
        return None
    try:
        return load_plan(out)
    except InputError as error:
        if force:
            return None
        raise InputError(
            f"{out} holds a {PLAN_FILE} already: {error}; give another --out, or --force to replace it"
        ) from error


def _check_model(model: Path | None, out: Path, plan: Plan) -> None:
    """Raise InputError where a stage would overwrite the file that it is made of."""
    for stage in plan.stages:
        for file in stage.files:
            if model is not None and (out / file.file).exists() and model.exists() and model.samefile(out / file.file):
                raise InputError(f"a stage would overwrite the model {model} itself; give another --out")


def _stale(earlier: Plan | None, plan: Plan) -> list[str]:
    """Stage files of the earlier plan that the new one does not name."""
    named = {file.file for stage in plan.stages for file in stage.files}
    return [file for file in _files(earlier) if file not in named]


def _files(plan: Plan | None) -> Iterable[str]:
    return () if plan is None else [file.file for stage in plan.stages for file in stage.files if file.file]


def _outdated(out: Path, earlier: Plan | None, plan: Plan) -> list[str]:
    """A note on the profiles beside the earlier plan, where they do not fit the new one."""
    if earlier is None or earlier.digest == plan.digest:
        return []
    names = [path.name for path in sorted(out.glob("*.json")) if _plan_of(path) == earlier.digest]
    if not names:
        return []
    return [
        f"of the earlier plan, no longer usable in {out}: {', '.join(names)}; make them again with `partway profile`"
    ]


def _plan_of(path: Path) -> Any:
    try:
        if path.name == PLAN_FILE or path.stat().st_size > LARGEST_NOTE_BYTES:
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data.get("plan") if isinstance(data, dict) else None
