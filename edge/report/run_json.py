"""The report of a run: the object that ``--json`` writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from partway.edge.decision.decision import Decision
from partway.edge.decision.ranking import PARTS, Ranking
from partway.edge.decision.split_controller import Change
from partway.edge.report.statistics import Results
from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate, Estimate
from partway.partitioner.plan.plan import Plan
from partway.units import encodable, redacted

if TYPE_CHECKING:
    from partway.edge.decision.audit import Tally


@dataclass(slots=True)
class RunReport:
    """The results of a run, with its decision. ``notes``: assumptions of the decision."""

    plan: Plan
    engine: str
    decision: Decision | None = None
    results: Results = field(default_factory=Results)
    unreadable: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    changes: Sequence[Change] = ()
    dropped: int = 0
    audits: Mapping[Candidate, Tally] = field(default_factory=dict)

    def add_unreadable(self, error: InputError) -> None:
        """Record an input that cannot be read, only once: ``--frames`` may repeat the input."""
        sentence = encodable(redacted(str(error)))
        if sentence not in self.unreadable:
            self.unreadable.append(sentence)

    def json_pieces(self) -> Iterator[str]:
        """The text of ``to_json``, one frame at a time: all frames may not fit into memory."""
        rest = {name: value for name, value in self._json(()).items() if name != "frames"}
        yield json.dumps(rest)[:-1] + ', "frames": ['
        for index, frame in enumerate(self.results.frames()):
            yield (", " if index else "") + json.dumps(frame)
        yield "]}\n"

    def to_json(self) -> dict[str, Any]:
        """The one object that ``--json`` writes."""
        return self._json(self.results.frames())

    def _json(self, frames: Iterable[dict[str, Any]]) -> dict[str, Any]:
        link = self.decision.link if self.decision else None
        measured = self.decision.link_measured if self.decision else False
        shown = (
            None if link is None else {"bandwidth_bps": link.bandwidth_bps, "rtt_s": link.rtt_s, "measured": measured}
        )
        return {
            "model": encodable(self.plan.model),
            "plan": _plan_json(self.plan, self.engine, self.decision, self.notes),
            "link": shown,
            "frames": list(frames),
            "changes": [_change_json(change) for change in self.changes],
            "audits": [_audit_json(candidate, tally) for candidate, tally in self.audits.items()],
            "summary": {
                **self.results.summary(self.wall_s),
                "dropped": self.dropped,
                "changes": len(self.changes),
                "unreadable": self.unreadable,
            },
        }


def _audit_json(candidate: Candidate, tally: Tally) -> dict[str, Any]:
    agreed = round(tally.agreed, 3)
    counts = {
        "frames": tally.frames,
        "agreed": None if not tally.classifies else int(agreed) if agreed == int(agreed) else agreed,
    }
    error = sum(tally.errors) / len(tally.errors)
    return {"cut": candidate.k, "codec": candidate.codec, **counts, "relative_error": error}


def _change_json(change: Change) -> dict[str, Any]:
    ends = {"from": change.before, "to": change.after}
    named = {name: {"cut": candidate.k, "codec": candidate.codec} for name, candidate in ends.items()}
    return {"frame": change.frame, **named, "reason": change.reason}


def _plan_json(plan: Plan, engine: str, decision: Decision | None, notes: tuple[str, ...]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "digest": plan.digest,
        "engine": engine,
        "stages": len(plan.stages),
        "cuts": [list(cut.values) for cut in plan.cuts],
    }
    if plan.weights:
        data["weights"] = plan.weights
    if decision is not None:
        ranking, rival = decision.ranking, decision.runner_up
        data["objective"] = ranking.objective.name
        data["candidates"] = [_estimate_json(e, ranking) for e in decision.estimates]
        data["chosen"] = _estimate_json(decision.chosen, ranking)
        data["runner_up"] = None if rival is None else _estimate_json(rival, ranking)
        data["reason"] = decision.reason
        data["notes"] = list(notes)
    return data


def _estimate_json(estimate: Estimate, ranking: Ranking) -> dict[str, Any]:
    candidate, measured = estimate.candidate, estimate.measured
    return {
        "cut": candidate.k,
        "codec": candidate.codec,
        "bytes": candidate.size_bytes,
        "reply_bytes": candidate.reply_bytes,
        **_parts_json(estimate),
        "total_s": estimate.total_s,
        "measured_s": estimate.measured_s,
        "measured": None if measured is None else _measured_json(measured),
        "score": ranking.score(estimate),
    }


def _measured_json(measured: Estimate) -> dict[str, Any]:
    candidate = measured.candidate
    return {"bytes": candidate.size_bytes, "reply_bytes": candidate.reply_bytes} | _parts_json(measured)


def _parts_json(estimate: Estimate) -> dict[str, float]:
    return {part: getattr(estimate, part) for part in PARTS}
