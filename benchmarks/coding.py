"""Seconds to encode and decode one frame of MobileNetV2, on one core, by the codecs fitted to it.

    python -m benchmarks.coding [--data DIR] [--json FILE]

Codecs are fitted on one half of the photographs and timed on the other, in 400 short blocks of four frames per codec.
"Best" is the time per frame of the fastest block, without other load; the median includes the machine's load.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import rate_cases
from benchmarks.machine import machine_line
from benchmarks.rate_tables import shape
from partway.partitioner.calibrate.fit_split import fit_split
from partway.proto.codecs.packing import pack, unpack
from partway.proto.codecs.transform.codebook import codebook

CUTS = ("4/project", "7/project", "16/add")
CODECS = ("t40", "t70", "zstd", "s8")
FRAMES, BLOCKS = 4, 400
Times = tuple[list[float], list[float], list[int]]
"""Seconds to encode and to decode a frame, of every block; bytes of every frame."""


def timed(case: rate_cases.Case) -> Iterator[tuple[int, str, Times]]:
    """Every cut and codec."""
    fitted, others = case.halves
    lives = [dict(frame.values) for frame in fitted]
    frames = [dict(frame.values) for frame in others[:FRAMES]]
    for k in range(1, len(CUTS) + 1):
        lives = [case.chain.run(live, k - 1, k) for live in lives]
        frames = [case.chain.run(live, k - 1, k) for live in frames]
        book = codebook(fit_split(case.chain, k, lives, case.last_stage))
        spec = case.chain.plan.crossing(k)[0]
        for codec in CODECS:
            encoding, decoding, sizes = [], [], [0]
            for _ in range(BLOCKS):
                begun_s = perf_counter()
                packed = [pack(codec, spec.name, live[spec.name], book) for live in frames]
                encoded_s = perf_counter()
                for head, data in packed:
                    unpack(head, data, spec, book)
                decoding.append((perf_counter() - encoded_s) / FRAMES)
                encoding.append((encoded_s - begun_s) / FRAMES)
                sizes = [len(data) for _, data in packed]
            yield k, codec, (encoding, decoding, sizes)


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    print("| what crosses | codec | bytes | encode, best | decode, best | both, best | both, median |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        case = rate_cases.mobilenet(args.data, Path(folder), CUTS)
        for k, codec, (encoding, decoding, sizes) in timed(case):
            best, both = [min(encoding), min(decoding)], np.add(encoding, decoding)
            what, size = shape(case.chain.plan, k), float(np.mean(sizes))
            figures = [*best, float(both.min()), float(np.median(both))]
            print(f"| {what} | {codec} | {size:,.0f} | " + " | ".join(f"{s * 1e3:.2f} ms" for s in figures) + " |")
            names = ("encode_best_s", "decode_best_s", "both_best_s", "both_median_s")
            rows.append({"what": what, "codec": codec, "bytes": size, **dict(zip(names, figures, strict=True))})
    machine = machine_line("numpy", "zstandard", "ai-edge-litert")
    print("\n" + machine)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
