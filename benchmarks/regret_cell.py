"""One cell of the regret table, in a process of its own: decide as edge-run does, then run every candidate for real."""

from __future__ import annotations

import argparse
import json
import random
import statistics
from time import perf_counter
from typing import Any

from partway.edge.decision.trial import COLD_FRAMES
from partway.edge.options import Options
from partway.edge.pipeline.runner import Runner
from partway.edge.report.run_json import Outcome
from partway.edge.report.terminal import Report
from partway.edge.session.run import Run
from partway.edge.sources.files import Sample
from partway.engines.interface import Engine
from partway.engines.throttled import SlowEngine
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.plan import Plan

MOST_FRAMES = 11
LEAST_FRAMES = 3
FRAMES_S = 1.5


class Cell(Run):
    """A run of edge-run whose frames are those of all candidates, in random order."""

    slow = 1
    measured: dict[Candidate, list[float]]

    def engine(self, plan: Plan) -> Engine:
        """The device's engine, slowed down."""
        return SlowEngine(super().engine(plan), self.slow)

    def _frames(self, outcome: Outcome, runner: Runner, work: Any) -> None:
        assert outcome.decision is not None
        sample = work.first.read()
        candidates = [estimate.candidate for estimate in outcome.decision.estimates]
        random.Random(0).shuffle(candidates)
        self.measured = {candidate: seconds(runner, sample, candidate) for candidate in candidates}


def seconds(runner: Runner, sample: Sample, candidate: Candidate) -> list[float]:
    """What frames took, one at a time, the first, cold ones apart; fewer of those that take very long."""
    runner.window = runner.batch = 1
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
    Cell.slow = args.slow
    outcomes: list[Outcome] = []
    options = Options(
        args.model, cloud=args.cloud, inputs=(args.input,), constraints=Constraints(max_drop=100.0), threads=1
    )
    with Cell(options, Report(quiet=True)) as run:
        run.go(outcomes)
        decision = outcomes[0].decision
        assert decision is not None
        rows = [
            {
                "k": estimate.candidate.k,
                "codec": estimate.candidate.codec,
                "bytes": estimate.candidate.size_bytes,
                "estimate": {
                    part: getattr(estimate, part)
                    for part in ("prefix_s", "encode_s", "link_s", "decode_s", "suffix_s", "total_s", "measured_s")
                },
                "p50_s": statistics.median(run.measured[estimate.candidate]),
                "frames_s": run.measured[estimate.candidate],
                "chosen": estimate is decision.chosen,
            }
            for estimate in decision.estimates
        ]
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
