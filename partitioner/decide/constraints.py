"""Constraints: device memory, values that stay on the device, and the agreement that a codec may cost."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate
from partway.units import show_bytes

if TYPE_CHECKING:
    from partway.partitioner.plan.plan import Plan

INPUT = "input"
"""What ``keep_on_device`` calls the model's inputs, whatever their names."""

_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kmg]?i?b)\s*", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True, slots=True)
class Constraints:
    """The limits of every admitted candidate.

    ``max_device_bytes``: memory of its stages and activations on the device (see device_bytes). ``keep_on_device``:
    values that may not cross, ``input`` for the raw input as tensor, pixels or picture. ``max_drop``: percentage points
    of agreement its codec may cost; 100 admits codecs that were never measured.
    """

    max_device_bytes: float | None = None
    keep_on_device: tuple[str, ...] = ()
    max_drop: float = 100.0


def admitted(candidates: Sequence[Candidate], constraints: Constraints, plan: Plan) -> list[Candidate]:
    """The candidates within all constraints, in order. Raises InputError, with the reasons, when there are none.

    Raises InputError as well for a value in ``keep_on_device`` that no cut of the plan sends (most likely misspelt).
    """
    why = excluded(candidates, constraints, plan)
    remaining = [candidate for candidate in candidates if candidate not in why]
    if remaining or not candidates:
        return remaining
    parts = [
        f"{constraint} excludes {_named([c for c in candidates if why[c] == constraint], candidates, plan)}"
        for constraint in dict.fromkeys(why.values())
    ]
    relax = "relax one of them" if len(parts) > 1 else "relax it"
    raise InputError(f"no candidate is left: {'; '.join(parts)}; {relax}")


def excluded(candidates: Sequence[Candidate], constraints: Constraints, plan: Plan) -> dict[Candidate, str]:
    """The excluded candidates, each with the first constraint it breaks, written as on the command line."""
    if constraints.max_device_bytes is not None and not all(stage.file for stage in plan.stages):
        raise InputError(f"the sizes of the stages of {plan.model} are unknown; leave out --max-device-memory")
    staying = _staying_values(constraints, plan)
    found = ((candidate, _broken(candidate, constraints, staying, plan)) for candidate in candidates)
    return {candidate: broken for candidate, broken in found if broken is not None}


def device_bytes(plan: Plan, k: int) -> int:
    """Bytes of memory the device needs for split k: the prefix's stage files and the most activation alive at once.

    While a stage runs, the values of the cuts before and after it are alive. This is a lower bound: the plan does not
    know the engine's own memory or the values inside a stage. Stages loaded for answering without a cloud do not count.
    """
    files = sum(stage.total_bytes for stage in plan.stages[:k])
    borders = [_alive(plan, at, at + 1) for at in range(k)] or [_alive(plan, 0)]
    return files + max(borders)


def parse_bytes(text: str) -> float:
    """Bytes of ``64MB`` or ``1.5 GiB``. Raises InputError without a unit."""
    match = _SIZE.fullmatch(text)
    size = float(match[1]) * _UNITS[match[2].lower()] if match else 0.0
    if not 0 < size < math.inf:
        raise InputError(f"size {text!r} needs a number above zero and a unit, for example 64MB (known: B to GB, GiB)")
    return size


def _alive(plan: Plan, *cuts: int) -> int:
    names = {value for k in cuts for value in plan.cuts[k].values}
    return sum(plan.tensors[name].size_bytes() for name in names)


def _broken(candidate: Candidate, constraints: Constraints, staying: Mapping[str, str], plan: Plan) -> str | None:
    if candidate.codec is not None:
        sent = next((value for value in plan.cuts[candidate.k].values if value in staying), None)
        if sent is not None:
            return f"--keep-on-device {staying[sent]}"
    if not candidate.admitted(constraints.max_drop):  # a codec, or int8 stages on the device
        return f"--max-drop {constraints.max_drop:g}"
    most = constraints.max_device_bytes
    if most is not None and device_bytes(plan, candidate.k) > most:
        return f"--max-device-memory {show_bytes(most)}"
    return None


def _staying_values(constraints: Constraints, plan: Plan) -> dict[str, str]:
    """Values that may not cross, each with the word the user gave for it."""
    sent = dict.fromkeys(value for cut in plan.cuts for value in cut.values)
    staying: dict[str, str] = {}
    for word in constraints.keep_on_device:
        if word in sent:
            staying[word] = word
        elif word == INPUT:
            staying |= dict.fromkeys(plan.inputs, word)
        else:
            close = difflib.get_close_matches(word, [INPUT, *sent], 1, 0.0)
            raise InputError(
                f"no cut of {plan.model} sends {word!r}; did you mean {close[0]}? Known: {', '.join(sent)}"
            )
    return staying


def _named(out: Sequence[Candidate], candidates: Sequence[Candidate], plan: Plan) -> str:
    """Candidates in short form: splits, with codecs only when some of a split's codecs are left out."""
    words = []
    for k in sorted({candidate.k for candidate in out}):
        codecs = [c.codec for c in out if c.k == k]
        all_codecs = len(codecs) == sum(c.k == k for c in candidates)
        place = {0: "all in the cloud", len(plan.stages): "all on the device"}.get(k, f"split {k}")
        words.append(place if all_codecs else f"{place} with {', '.join(codec for codec in codecs if codec)}")
    return ", ".join(words)
