"""One cell of the regret table, in a process of its own: decide as edge-run does, then run every candidate for real."""

from __future__ import annotations

import argparse
import json
import random
import statistics
from time import perf_counter

from partway.edge.decision.trial_frames import COLD_FRAMES
from partway.edge.options import Options
from partway.edge.pipeline.runner import Runner
from partway.edge.report.terminal import Report
from partway.edge.session.run import Ready, Run
from partway.edge.sources.files import Sample
from partway.engines.throttled import SlowEngine
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.estimate import Candidate

MOST_FRAMES = 11
LEAST_FRAMES = 3
FRAMES_S = 1.5


def measured(ready: Ready) -> dict[Candidate, list[float]]:
    """What frames of all candidates took, in random order."""
    sample = ready.opened.run_input.first.read()
    candidates = [estimate.candidate for estimate in ready.decision.estimates]
    random.Random(0).shuffle(candidates)
    return {candidate: seconds(ready.pipeline.runner, sample, candidate) for candidate in candidates}


def seconds(runner: Runner, sample: Sample, candidate: Candidate) -> list[float]:
    """Seconds of frames, one at a time, without the first, cold ones; fewer frames where they take very long."""
    found: list[float] = []
    begun_s = perf_counter()
    while len(found) < MOST_FRAMES and (len(found) <= LEAST_FRAMES or perf_counter() - begun_s < FRAMES_S):
        found += [result.total_s for result in runner.run([sample], lambda: candidate)]
    return found[min(COLD_FRAMES, len(found) - LEAST_FRAMES) :]


def main() -> None:
    """Decide, measure, write JSON to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--cloud", required=True)
    parser.add_argument("--slow", type=int, required=True)
    parser.add_argument("--input", required=True)
    args = parser.parse_args()
    options = Options(
        args.model, cloud=args.cloud, inputs=(args.input,), constraints=Constraints(max_drop=100.0), threads=1, window=1
    )
    with Run(options, Report(quiet=True), wrap_engine=lambda engine, _: SlowEngine(engine, args.slow)) as run:
        ready = run.open()
        frames_s = measured(ready)
        rows = [
            {
                "k": estimate.candidate.k,
                "codec": estimate.candidate.codec,
                "bytes": estimate.candidate.size_bytes,
                "estimate": {
                    part: getattr(estimate, part)
                    for part in ("prefix_s", "encode_s", "link_s", "decode_s", "suffix_s", "total_s", "measured_s")
                },
                "p50_s": statistics.median(frames_s[estimate.candidate]),
                "frames_s": frames_s[estimate.candidate],
                "chosen": estimate is ready.decision.chosen,
            }
            for estimate in ready.decision.estimates
        ]
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
