"""The summary of a replay: counts, percentiles, energy, shares of the splits; as data and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from partway.edge.emulator.replay import Answered, Replay
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.partitioner.decide.estimate import Candidate, Estimate
from partway.partitioner.decide.power import Power, energy_j, show_j
from partway.units import show_bytes, show_s

PERCENTILES = (50, 95, 99)


def frame_energy_j(result: FrameResult, power: Power, rtt_s: float) -> float:
    """Joules of a frame on the device: an estimate by the power model, from measured times.

    It counts computing (also after the cut, if the device finished the frame itself), transfer and waiting. The round
    trip counts as waiting, and the rest of the time on the link as transfer.
    """
    here = result.suffix_s if result.answered_by == "device" else 0.0
    spent = Estimate(
        Candidate(result.cut, result.codec),
        prefix_s=result.prefix_s + here,
        encode_s=result.encode_s,
        link_s=result.link_s,
        queue_s=result.queue_s,
        decode_s=result.decode_s,
        suffix_s=result.suffix_s - here,
        read_s=result.read_s,
    )
    return energy_j(spent, power, rtt_s)


def missed(result: FrameResult, deadline_s: float | None) -> bool:
    """Whether a frame's answer arrived too late, or not at all."""
    return result.missed or result.answered_by == NOBODY or (deadline_s is not None and result.total_s > deadline_s)


def summary(replay: Replay, power: Power, deadline_s: float | None) -> dict[str, Any]:
    """The figures. Seconds over the frames that were answered; energy over all of them."""
    results = [answered.result for answered in replay.frames]
    times = [result.total_s for result in results if result.answered_by != NOBODY]
    link = replay.run_report.decision.link if replay.run_report.decision else None
    joules = [frame_energy_j(result, power, link.rtt_s if link else 0.0) for result in results]
    who = Counter(result.answered_by for result in results)
    return {
        "frames": len(results),
        "by_cloud": who["cloud"],
        "by_device": who["device"],
        "unanswered": who[NOBODY],
        "missed": sum(missed(result, deadline_s) for result in results),
        "dropped": replay.run_report.dropped,
        "changes": len(replay.run_report.changes),
        "ran_s": replay.ran_s,
        "frames_per_s": len(times) / replay.ran_s if replay.ran_s else 0.0,
        "mean_s": float(np.mean(times)) if times else None,
        **{f"p{q}_s": float(np.percentile(times, q)) if times else None for q in PERCENTILES},
        "bytes_a_frame": sum(r.bytes_sent + r.bytes_received for r in results) / max(1, len(results)),
        "energy_a_frame_j": sum(joules) / len(joules) if joules else None,
    }


def shares(frames: Sequence[Answered]) -> list[dict[str, Any]]:
    """For each split and codec, the number of frames and their mean seconds; the most frequent first."""
    groups: dict[tuple[int, str | None], list[FrameResult]] = {}
    for answered in frames:
        groups.setdefault((answered.result.cut, answered.result.codec), []).append(answered.result)
    rows = [
        {"cut": cut, "codec": codec, "frames": len(group), "mean_s": float(np.mean([r.total_s for r in group]))}
        for (cut, codec), group in groups.items()
    ]
    return sorted(rows, key=lambda row: -int(row["frames"]))


def series(frames: Sequence[Answered], deadline_s: float | None) -> list[dict[str, Any]]:
    """The main values of every frame: when it was answered, its split, who answered, how long it took."""
    return [
        {
            "at_s": round(answered.at_s, 6),
            "cut": answered.result.cut,
            "codec": answered.result.codec,
            "answered_by": answered.result.answered_by,
            "total_s": answered.result.total_s,
            "missed": missed(answered.result, deadline_s),
        }
        for answered in frames
    ]


def tables(figures: Mapping[str, Any], splits: Sequence[Mapping[str, Any]], stages: int) -> tuple[Table, Table]:
    """The figures, and the shares of the splits, for people."""
    first = Table(show_header=False)
    for row in _rows(figures):
        first.add_row(*row)
    second = Table(title="splits", title_justify="left")
    for column in ("split", "codec", "frames", "mean"):
        second.add_column(column, justify="left" if column in ("split", "codec") else "right")
    for share in splits:
        where = {0: "0 cloud", stages: f"{stages} device"}.get(share["cut"], str(share["cut"]))
        second.add_row(where, share["codec"] or "-", str(share["frames"]), show_s(share["mean_s"]))
    return first, second


def _rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    who = ", ".join(f"{figures[key]} {key.replace('_', ' ')}" for key in ("by_cloud", "by_device", "unanswered"))
    times = [(name, figures[f"{name}_s"]) for name in ("mean", *(f"p{q}" for q in PERCENTILES))]
    joules = figures["energy_a_frame_j"]
    return [
        ("frames", f"{figures['frames']} ({who})"),
        ("frames/s", f"{figures['frames_per_s']:.3g}"),
        *((name, "-" if seconds is None else show_s(seconds)) for name, seconds in times),
        ("missed the deadline", str(figures["missed"])),
        ("dropped before they began", str(figures["dropped"])),
        ("changes of the candidate", str(figures["changes"])),
        ("sent and received a frame", show_bytes(figures["bytes_a_frame"])),
        ("energy a frame (estimate)", "-" if joules is None else show_j(joules)),
    ]
