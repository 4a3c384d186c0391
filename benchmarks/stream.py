"""Images per second and accuracy through the split path: all MNIST test images, edge-run and cloud-serve.

python -m benchmarks.stream --data DIR [--json FILE]      (DIR: the MNIST files)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine_line
from partway.engines.registry import engine_for
from partway.partitioner.plan.chain import load_chain
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.zoo import model_folder
from partway.partitioner.zoo.idx import read_idx

SETTINGS = (("cloud", 1), ("1", 1), ("2", 1), ("device", 1), ("cloud", 16), ("1", 16), ("2", 16), ("device", 16))


def unsplit_labels(images: np.ndarray[Any, Any]) -> list[int]:
    """The labels of the unsplit chain, image by image, in this process."""
    folder = model_folder("mnist")
    plan = load_plan(folder)
    chain = load_chain(plan, engine_for(plan.engine, 1), lambda stage: read_stage(folder, stage))
    preprocess = plan.preprocess
    assert preprocess is not None
    inputs = ({preprocess.value: preprocess.tensor(image[:, :, None])} for image in images)
    return [int(np.argmax(chain.run(values, 0, len(plan.stages))["logits"])) for values in inputs]


def run(images: Path, split: str, batch: int) -> dict[str, Any]:
    """One edge-run over all images with an embedded cloud; its JSON."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        options = ["--split", split, "--batch", str(batch), "--window", "8", "--threads", "1", "--json", str(out)]
        command = [
            sys.executable,
            "-m",
            "partway.edge",
            "--model",
            "mnist",
            "--cloud",
            "embedded",
            "--input",
            str(images),
        ]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
        report: dict[str, Any] = json.loads(out.read_text())
        return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    file = next(args.data.glob("t10k-images-idx3-ubyte*"))
    labels = read_idx(next(args.data.glob("t10k-labels-idx1-ubyte*")))
    unsplit = unsplit_labels(read_idx(file))
    print(f"whole model: {np.mean(unsplit == labels):.2%} of {len(labels)}")
    print("| split | frames per request | images/s | accuracy | answers equal to the whole model's |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    for split, batch in SETTINGS:
        report = run(file, split, batch)
        answers = [frame["top"][0]["index"] for frame in report["frames"]]
        row = {
            "split": split,
            "batch": batch,
            "images_per_s": report["summary"]["frames_per_s"],
            "accuracy": float(np.mean(answers == labels)),
            "equal": float(np.mean(np.equal(answers, unsplit))),
        }
        rows.append(row)
        print(
            f"| {split} | {batch} | {row['images_per_s']:.0f} | {row['accuracy']:.2%} | {row['equal']:.2%} |",
            flush=True,
        )
    print(f"\n8 requests in flight; {machine_line('onnxruntime', 'grpcio')}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
