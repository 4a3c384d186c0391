"""Compares two versions of Partway: start-up, idle memory and frame overhead, side by side in one run.

    python -m benchmarks.versions OTHER_CHECKOUT [--rounds N] [--json FILE]

Each checkout runs in its own ``.venv``. Runs alternate, so that a machine that slows down slows both. A ratio is this
checkout's median divided by the other's; below 1 this one is better.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep

from benchmarks.machine import machine_line

HERE = Path(__file__).parent.parent
READY_S, SETTLED_S = 60.0, 2.0
CLOUDS = ("none", "embedded")
OVERHEAD_ROUNDS = 5


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="another checkout with an installed .venv")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = measure(args.other.resolve(), args.rounds)
    print(table(found))
    print(f"\nmedians of {args.rounds} alternating runs; {machine_line('grpcio', 'onnxruntime')}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def measure(other: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Median of this checkout and of the other, by measure: seconds or megabytes."""
    found = {}
    for cloud in CLOUDS:
        found[f"start-up to the end of one frame, --cloud {cloud} (s)"] = both(
            lambda root, cloud=cloud: start_up_s(root, cloud), other, rounds
        )
    for cloud in CLOUDS:
        found[f"idle memory, --cloud {cloud} (MB)"] = both(
            lambda root, cloud=cloud: idle_mb(root, cloud), other, min(rounds, 5)
        )
    samples = [{root: overhead_s(root) for root in (HERE, other)} for _ in range(min(rounds, 5))]
    for label in samples[0][HERE]:
        mine, theirs = ([sample[root][label] for sample in samples] for root in (HERE, other))
        found[f"overhead of a frame of {label} (s)"] = statistics.median(mine), statistics.median(theirs)
    return found


def both(measured: Callable[[Path], float], other: Path, rounds: int) -> tuple[float, float]:
    """Medians of this checkout and the other; one unmeasured run each first."""
    measured(HERE), measured(other)
    pairs = [(measured(HERE), measured(other)) for _ in range(rounds)]
    mine, theirs = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(theirs)


def command(root: Path, *words: str) -> list[str]:
    """edge-run of a checkout."""
    return [str(root / ".venv" / "bin" / "python"), "-m", "partway.edge", "--model", "mnist", *words]


def environment() -> dict[str, str]:
    """This process's environment without the variables that point Python at another checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def start_up_s(root: Path, cloud: str) -> float:
    """Seconds of a process that answers one frame."""
    begun_s = perf_counter()
    subprocess.run(
        command(root, "--cloud", cloud, "--frames", "1"), check=True, capture_output=True, cwd=root, env=environment()
    )
    return perf_counter() - begun_s


def idle_mb(root: Path, cloud: str) -> float:
    """Resident memory, in megabytes, of a service that waits for pictures."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            command(root, "--cloud", cloud, "--service", "--input", f"watch:{folder}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env=environment(),
            text=True,
        )
        try:
            assert process.stdout is not None
            begun_s = perf_counter()
            while "ready" not in process.stdout.readline():
                assert process.poll() is None and perf_counter() - begun_s < READY_S, f"{root} did not get ready"
            sleep(SETTLED_S)
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def overhead_s(root: Path) -> dict[str, float]:
    """Seconds a frame spends in our wire, by size of the tensor (see benchmarks.overhead)."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        python = str(root / ".venv" / "bin" / "python")
        subprocess.run(
            [python, "-m", "benchmarks.overhead", "--rounds", str(OVERHEAD_ROUNDS), "--json", file.name],
            check=True,
            capture_output=True,
            cwd=root,
            env=environment(),
        )
        return {label: p50["ours"] for label, p50 in json.loads(Path(file.name).read_text()).items()}


def table(found: dict[str, tuple[float, float]]) -> str:
    """As Markdown."""
    rows = ["| | this version | the other | ratio |", "| --- | --- | --- | --- |"]
    for label, (mine, theirs) in found.items():
        rows.append(f"| {label} | {mine:.4g} | {theirs:.4g} | {mine / theirs:.3f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
