"""One cell of the table of real links, in a process of its own: auto against its rivals.

Decides as edge-run does, answers frames as it would, then takes each rival for as long: everything on the
device, the best picture within the same budget, the raw picture to the cloud.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

from partway.edge.decision.ranking import Ranking
from partway.edge.emulator.replay import EmulatedDevice
from partway.edge.options import Options
from partway.edge.pipeline.in_flight import Watch
from partway.edge.pipeline.result import FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.report.terminal import Report
from partway.edge.session.run import Ready, Run
from partway.edge.sources.files import Sample
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.estimate import Candidate, Estimate
from partway.partitioner.decide.objectives import objective
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.image import PIXELS, is_image_codec

PICTURES = 24
LEAST, MOST = 3, 60
WARM = 1
"""Frames left out at first; the time to the first answer fills the pipeline and counts for nobody."""
WINDOW = 3
PATIENCE_S = 60.0


class Pipelined(Watch):
    """A rival that waits for its answers, WINDOW frames in flight where several are allowed."""

    def window(self, candidate: Candidate) -> int:
        """See Watch."""
        return WINDOW

    def expected_s(self, candidate: Candidate, ahead_bytes: int) -> float | None:
        """See Watch."""
        return PATIENCE_S


def _same(candidate: Candidate) -> Candidate:
    return candidate


def compare(ready: Ready, seconds: float) -> dict[str, Any]:
    """Frames as auto takes them, then as each rival does, for so many seconds each."""
    decision, plan, parts = ready.decision, ready.opened.chain.plan, ready.pipeline
    samples = [item.read() for item in islice(ready.opened.run_input.items(), PICTURES)]
    for sample in samples:
        sample.tensors(parts.runner.encoder.preprocess)
    found = {"auto": taken(parts.runner, samples, parts.controller, seconds)}
    found["auto"]["name"] = _name(parts.controller.present, plan)
    found["auto"]["estimated"] = decision.ranking.score(decision.chosen)
    runner = Runner(
        parts.runner.chain, parts.runner.encoder, window=parts.runner.window, watch=Pipelined(), after=parts.runner
    )
    for name, rival in rivals(decision.estimates, plan, decision.ranking).items():
        found[name] = {**taken(runner, samples, partial(_same, rival), seconds), "name": _name(rival, plan)}
    runner.close()
    return found


def taken(
    runner: Runner, samples: Sequence[Sample], candidate: Callable[[], Candidate], seconds: float
) -> dict[str, Any]:
    """Frames for so many seconds: p50 of a frame, and frames per second once the pipeline is full."""
    begun_s, stamps, results = perf_counter(), list[float](), list[FrameResult]()

    def until() -> Iterator[Sample]:
        for index, sample in enumerate(cycle(samples)):
            if index >= MOST + WARM or (index >= LEAST + WARM and perf_counter() - begun_s > seconds):
                return
            yield sample

    for result in runner.run(until(), candidate):
        stamps.append(perf_counter())
        results.append(result)
    warm, last = results[WARM:], len(results) - 1
    return {
        "p50_s": statistics.median(result.total_s for result in warm),
        "frames_per_s": (last - WARM + 1) / (stamps[last] - stamps[WARM - 1]),
        "frames": len(warm),
        "bytes": statistics.fmean(result.bytes_sent for result in warm),
        "by_cloud": sum(result.answered_by == "cloud" for result in warm),
    }


def rivals(estimates: Sequence[Estimate], plan: Plan, ranking: Ranking) -> dict[str, Candidate]:
    """Of the admitted candidates: ``device``, ``picture`` (the best JPEG or WebP), ``raw`` (pixels as they are)."""
    pictures = [e for e in estimates if e.candidate.codec and is_image_codec(e.candidate.codec)]
    coded = [e for e in pictures if str(e.candidate.codec).startswith(("jpeg", "webp"))]
    found = {"device": next(e.candidate for e in estimates if e.candidate.codec is None)}
    if coded:
        found["picture"] = ranking.best(coded).candidate
    if raw := [e.candidate for e in pictures if e.candidate.codec == PIXELS]:
        found["raw"] = raw[0]
    return found


def _name(candidate: Candidate, plan: Plan) -> str:
    where = {0: "cloud", len(plan.stages): "device"}.get(candidate.k, f"split {candidate.k}")
    return where if candidate.codec is None else f"{where}, {candidate.codec}"


def main() -> None:
    """Decide, measure, write JSON to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model", required=True)
    add("--cloud", required=True)
    add("--profile", type=Path, required=True)
    add("--slow", type=int, required=True)
    add("--input", required=True)
    add("--objective", required=True)
    add("--keep", action="store_true")
    add("--max-drop", type=float, required=True)
    add("--seconds", type=float, default=6.0)
    args = parser.parse_args()
    options = Options(
        args.model,
        cloud=args.cloud,
        inputs=(args.input,),
        objective=objective(args.objective),
        constraints=Constraints(None, ("input",) if args.keep else (), args.max_drop),
        window=1 if args.objective == "latency" else None,
        threads=1,
        timeout_s=30.0,
    )
    with Run(options, Report(quiet=True), wrap_engine=EmulatedDevice(args.slow, args.profile).engine) as run:
        print(json.dumps(compare(run.open(), args.seconds)))


if __name__ == "__main__":
    main()
