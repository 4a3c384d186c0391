"""Measure the choice of a candidate: microseconds per ``chooser(link)``, and milliseconds of preparation."""

from __future__ import annotations

import argparse
import random
from time import perf_counter

from benchmarks.machine import machine_line
from partway.partitioner.decide.crossovers import Chooser, crossovers
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import OBJECTIVES, objective

SPLITS = 10
CODECS = 6


def random_estimates(rng: random.Random) -> list[Estimate]:
    """Sixty candidates of a model with ten stages whose activations shrink, and all on the device."""
    speeds = Speeds(
        tuple(rng.uniform(2e-3, 2e-2) for _ in range(SPLITS)), tuple(rng.uniform(2e-4, 2e-3) for _ in range(SPLITS))
    )
    sending = [
        Candidate(k, f"c{c}", round(rng.uniform(0.5, 2) * 6e5 / 1.5**k / (c + 1)), 4160, 1e-4 * c, 1e-4 * c)
        for k in range(SPLITS)
        for c in range(CODECS)
    ]
    return [estimate(c, speeds, Link(1e6, 0.0)) for c in (*sending[:-1], Candidate(SPLITS, None))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choices", type=int, default=100_000)
    args = parser.parse_args()
    rng = random.Random(0)
    links = [Link(10 ** rng.uniform(4, 9), 10 ** rng.uniform(-4, -0.5)) for _ in range(args.choices)]
    print("| objective | candidates | winners at 40 ms | prepare | choose |\n| --- | --- | --- | --- | --- |")
    for name in OBJECTIVES.own_names():
        estimates, target = random_estimates(random.Random(1)), objective(name)
        begun_s = perf_counter()
        chooser = Chooser(estimates, target)
        prepared_s = perf_counter() - begun_s
        begun_s = perf_counter()
        for link in links:
            chooser(link)
        each_s = (perf_counter() - begun_s) / len(links)
        wins = len(crossovers(estimates, target, 0.04))
        print(f"| {name} | {len(estimates)} | {wins} | {prepared_s * 1e3:.1f} ms | {each_s * 1e6:.2f} µs |")
    print(f"\n{machine_line('numpy')}")


if __name__ == "__main__":
    main()
