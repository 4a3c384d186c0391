"""Estimate the saving of predicting a video's activations from the previous frame, which Partway does not do.

    python -m benchmarks.temporal CLIP [CLIP ...] [--data DIR] [--json FILE]

A clip is a folder of pictures in order. MobileNetV2's activations at two cuts, the basis and steps of `t70` from
photographs; bytes of every frame for itself, against bytes of its difference to the decoded frame before, scaled per
component and band. Scales and code tables for both are fitted to the first half of the clip, bytes are of the second.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import rate_cases
from benchmarks.rate_tables import shape
from partway.partitioner.calibrate.fit_transform import by_band, fit, smoothed
from partway.proto.codecs.transform.huffman import HuffmanCode, table
from partway.proto.codecs.transform.symbols import SEGMENTS, SymbolCoder, segment_of

Array = np.ndarray[Any, Any]
CUTS = ("4/project", "7/project")
EVERY = (1, 6)
"""Frames from one that is sent to the next."""
STEP = 0.7
HEADER_BYTES = 44


def coded_bytes(fitted: Array, tested: Array, steps: Array, bands: Array) -> float:
    """Mean bytes of the coefficients ``tested`` [frames, positions, components], with tables fitted to ``fitted``."""
    deviation = np.sqrt(by_band(np.square(fitted, dtype=np.float64).mean(0), bands)[bands])
    grouping = SymbolCoder(segment_of(deviation / steps).reshape(-1))
    counts = [np.zeros(segment.symbols) for segment in SEGMENTS]
    for levels in _levels(fitted, steps, grouping):
        parts = np.split(grouping.symbols(levels)[0], np.cumsum(grouping.counts)[:-1])
        for number, part in enumerate(parts):
            counts[number] += np.bincount(part, minlength=counts[number].size)
    tables = [table(smoothed(count, segment.size)) for count, segment in zip(counts, SEGMENTS, strict=True)]
    code = HuffmanCode(tuple(tables), grouping.counts)
    sizes = []
    for levels in _levels(tested, steps, grouping):
        symbols, escaped = grouping.symbols(levels)
        parts, stream = code.encode(symbols)
        sizes.append(len(stream) + len(escaped) + 2 * len(parts) + HEADER_BYTES)
    return float(np.mean(sizes))


def _levels(frames: Array, steps: Array, grouping: SymbolCoder) -> list[Array]:
    flat = [np.append(np.rint(frame / steps).reshape(-1), 0) for frame in frames]
    return [levels.astype(np.float32)[grouping.order] for levels in flat]


def differences(frames: Array, scale: Array, steps: Array) -> Array:
    """Every frame but the first minus the decoded previous one."""
    found = []
    decoded = np.rint(frames[0] / steps) * steps
    for frame in frames[1:]:
        found.append(frame - scale * decoded)
        decoded = scale * decoded + np.rint(found[-1] / steps) * steps
    return np.stack(found)


def scales(frames: Array, steps: Array, bands: Array) -> Array:
    """The share of a coefficient that repeats, by component and band: least squares."""
    before = np.rint(frames[:-1] / steps) * steps
    both = by_band((before * frames[1:]).mean(0), bands)
    alone = by_band(np.square(before).mean(0), bands)
    return np.asarray((both / np.maximum(alone, 1e-9)).clip(0, 1)[bands])


def clip_bytes(samples: Array, fitting: Any) -> tuple[float, float]:
    """Mean bytes a frame, each for itself and by difference, of activations [frames, *shape]."""
    basis = fitting.basis
    steps = basis.by_coefficient((fitting.weights * fitting.deviation * STEP).astype(np.float32))
    frames = np.stack([basis.forward(sample.astype(np.float32)) for sample in samples])
    steps = steps.reshape(frames.shape[1:])
    fitted, tested = frames[: len(frames) // 2], frames[len(frames) // 2 :]
    scale = scales(fitted, steps, basis.bands)
    moved = [differences(part, scale, steps) for part in (fitted, tested)]
    return coded_bytes(fitted, tested, steps, basis.bands), coded_bytes(*moved, steps, basis.bands)


def activations(case: rate_cases.Case, clip: Path, most: int) -> list[dict[str, Array]]:
    """The values at split 0 of the frames of a clip."""
    assert case.preprocess is not None
    found = []
    for path in sorted(clip.iterdir())[:most]:
        with Image.open(path) as picture:
            found.append({case.preprocess.value: case.preprocess.tensor(case.preprocess.pixels(picture))})
    return found


def rows_of(case: rate_cases.Case, clips: Sequence[Path]) -> list[dict[str, Any]]:
    """Every cut, clip and pace."""
    photographs = [dict(frame.values) for frame in case.halves[0]]
    films = {clip.name: activations(case, clip, 250) for clip in clips}
    rows = []
    for k in range(1, len(CUTS) + 1):
        photographs = [case.chain.run(live, k - 1, k) for live in photographs]
        films = {name: [case.chain.run(live, k - 1, k) for live in lives] for name, lives in films.items()}
        value = case.chain.plan.crossing(k)[0].name
        fitting = fit(np.stack([live[value][0] for live in photographs]), "NHWC")
        for name, lives in films.items():
            for every in EVERY:
                alone, moved = clip_bytes(np.stack([live[value][0] for live in lives[::every]]), fitting)
                what = shape(case.chain.plan, k)
                rows.append(
                    {"what": what, "clip": name, "every": every, "alone_bytes": alone, "difference_bytes": moved}
                )
    return rows


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(rate_cases.mobilenet(args.data, Path(folder), CUTS), args.clips)
    print("| what crosses | clip | a frame of | each for itself | difference | saves |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        alone, moved = row["alone_bytes"], row["difference_bytes"]
        saved = f"{1 - moved / alone:.0%}"
        print(f"| {row['what']} | {row['clip']} | {row['every']} | {alone:,.0f} | {moved:,.0f} | {saved} |")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
