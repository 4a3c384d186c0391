"""How often a quantised model changes its answers when a few values of an activation are off by one.

    python -m benchmarks.variance [--data DIR] [--json FILE]

MobileNetV2 (int8) on 300 photographs. First a random share of the values of its 14x14x64 activation moves up or down by
one, then all values are rounded to multiples of 2 to 16. "Scores off" is the root mean square change of the scores
before the softmax, in the model's own quantisation steps.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import rate_cases

Array = np.ndarray[Any, Any]
CUTS = ("7/project",)
SHARES = (0.0001, 0.001, 0.01, 0.1)
STEPS = (2, 4, 8, 16)


def changed(values: Array) -> Iterator[tuple[str, Array]]:
    """Activations [frames, *shape], int8, changed more and more."""
    rng = np.random.default_rng(0)
    for share in SHARES:
        moved = values + (rng.random(values.shape) < share) * rng.choice([-1, 1], values.shape)
        yield f"{share:.2%} of the values off by one", moved.clip(-128, 127).astype(np.int8)
    for step in STEPS:
        nearest = np.rint((values.astype(int) + 128) / step) * step - 128
        yield f"multiples of {step}", nearest.clip(-128, 127).astype(np.int8)


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        case = rate_cases.mobilenet(args.data, Path(folder), CUTS)
        assert case.last_stage is not None
        spec, last, output = case.chain.plan.crossing(1)[0], len(case.chain.plan.stages), case.chain.plan.outputs[0]

        def answers(values: Array) -> tuple[Array, Array]:
            before = [case.chain.run({spec.name: value[None]}, 1, last - 1) for value in values]
            classes = [int(case.chain.run(live, last - 1, last)[output].argmax()) for live in before]
            assert case.last_stage is not None
            return np.stack([case.last_stage(live) for live in before]), np.array(classes)

        frames = [case.chain.run(frame.values, 0, 1)[spec.name][0] for half in case.halves for frame in half]
        right = answers(np.stack(frames))
        print("| changed | answers that change | scores off |\n| --- | --- | --- |")
        for what, values in changed(np.stack(frames)):
            found = answers(values)
            share = float((found[1] != right[1]).mean())
            off = float(np.sqrt(np.square(found[0] - right[0]).mean()))
            print(f"| {what} | {share:.1%} | {off:.2f} |")
            rows.append({"what": what, "answers_changed": share, "scores_off": off})
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
