"""Count frames while the cloud is killed or hangs, or the link is cut, at random moments, with real processes.

The device is this process and runs edge-run's own code; the cloud and the link between are processes of their own.

    python -m benchmarks.chaos [--kinds kill,stop,…] [--deadline TIME] [--moments N] [--frames N] [--json FILE|-]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import grpc
import numpy as np

from benchmarks.machine import machine_line
from partway.edge.options import options_of
from partway.edge.pipeline.encoder import Encoder
from partway.edge.report.terminal import Report
from partway.edge.session.run import Ready, Run
from partway.edge.sources.files import Sample
from partway.partitioner.plan.plan_file import load_plan, save_plan
from partway.partitioner.zoo import model_folder
from partway.proto.messages import INFERENCE_SERVICE

KINDS = ("kill", "stop", "cut", "stall", "late", "version", "reader")
"""SIGKILL, SIGSTOP, a cut link, a half-open one, one too slow for the deadline, another version of the model,
and a stranger who sends frames and does not read the answers."""
AWAY_S = 0.7
BACK_S = 20.0
"""A device that has not come back after this time never does."""
FRAME_S = 0.004
RATE, LATE = "20Mbps", "8kbps"
"""At the second rate a frame of the shipped model takes over two seconds, longer than its deadline."""


class Cloud:
    """A cloud-serve process that comes back on the same port."""

    def __init__(self, models: Path | None = None) -> None:
        self.port = 0
        self.start(models)

    def start(self, models: Path | None = None) -> None:
        """Start the process on the same port, perhaps with other models."""
        chosen = [] if models is None else ["--models", str(models)]
        options = ["--grpc-port", str(self.port), "--threads", "1", "--json", "--no-advertise", "--until-stdin-closes"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "partway.cloud", *options, *chosen],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["grpc_port"]

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Link:
    """A ``partway link emulate`` process, controlled over its standard input."""

    def __init__(self, port: int, *options: str) -> None:
        command = [sys.executable, "-m", "partway", "link", "emulate", "--to", f"127.0.0.1:{port}", "--json", *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.address = str(json.loads(self.process.stdout.readline())["address"])

    def tell(self, command: str) -> None:
        """``cut``, ``restore``, ``stall 1s``, ``rate 1Mbps``."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Stranger:
    """Sends frames to a cloud for as long as it takes them, and reads no answer."""

    def __init__(self, port: int) -> None:
        plan = load_plan(model_folder("mnist"))
        values = {"image": np.zeros((1, 1, 28, 28), np.float32)}
        self._message = Encoder(plan).frame("0", 0, "raw", [Sample("", values=values)], values)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self._stopped = False

    def _frames(self) -> Iterator[bytes]:
        while not self._stopped:
            yield self._message

    def __enter__(self) -> None:
        stream = self._channel.stream_stream(f"/{INFERENCE_SERVICE}/ModelStreamInfer")
        self._call = stream(self._frames())

    def __exit__(self, *error: object) -> None:
        self._stopped = True
        self._call.cancel()
        self._channel.close()


class Device:
    """Endless frames of an open run, one every ``frame_s``; records when each was answered and by whom."""

    def __init__(self, frames: int, frame_s: float = FRAME_S) -> None:
        self.frames, self.frame_s = frames, frame_s
        self.enough, self.begin = threading.Event(), threading.Event()
        self.stamps: list[tuple[float, int, str, float, bool, bool]] = []

    def answer(self, ready: Ready) -> None:
        """Until there were ``frames`` and it is ``enough``."""
        samples = [item.read() for item in ready.opened.run_input.items()]
        chain, preprocess = ready.opened.chain, ready.pipeline.runner.encoder.preprocess
        unsplit = [chain.run(sample.tensors(preprocess), 0, len(chain.stages)) for sample in samples]
        right = [int(np.argmax(values[chain.plan.outputs[0]])) for values in unsplit]
        self.begin.set()
        for result in ready.pipeline.answers(self._paced(samples)):
            same = not result.top or result.top[0][1] == right[result.id % len(right)]
            self.stamps.append((perf_counter(), result.id, result.answered_by, result.total_s, same, result.missed))

    def _paced(self, samples: list[Sample]) -> Iterator[Sample]:
        for index in count():
            if self.enough.is_set() and index >= self.frames:
                return
            yield samples[index % len(samples)]
            sleep(self.frame_s)


class Havoc:
    """Does one kind of harm again and again while frames flow, each time until the device has come back."""

    def __init__(self, kind: str, cloud: Cloud, link: Link, device: Device, other: Path) -> None:
        self.kind, self.cloud, self.link, self.device, self.other = kind, cloud, link, device, other
        self.first_s: list[float] = []
        self.back_s: list[float] = []
        self.used_while_other = 0

    def run(self, moments: int, seed: int = 0) -> None:
        """In a thread of its own."""
        rng = random.Random(seed)
        self.device.begin.wait()
        try:
            for _ in range(moments):
                self._until("cloud", perf_counter())
                sleep(rng.uniform(0.2, 0.8))
                self._once()
        finally:
            self.device.enough.set()

    def _once(self) -> None:
        begun_s = perf_counter()
        if self.kind == "reader":
            with Stranger(self.cloud.port):
                sleep(AWAY_S)
            self.back_s.append(self._until("cloud", begun_s) - begun_s)
            return
        self._harm()
        self.first_s.append(self._until("device", begun_s) - begun_s)
        sleep(AWAY_S)
        back_s = self._repair()
        self.back_s.append(self._until("cloud", back_s) - back_s)

    def _harm(self) -> None:
        if self.kind in ("kill", "version"):
            self.cloud.kill()
        elif self.kind == "stop":
            os.kill(self.cloud.process.pid, signal.SIGSTOP)
        else:
            self.link.tell({"cut": "cut", "stall": "stall 60s", "late": f"rate {LATE}"}[self.kind])

    def _repair(self) -> float:
        """When it was done."""
        if self.kind == "version":
            self.cloud.start(self.other)
            began_s = perf_counter()
            sleep(2.0)
            self.used_while_other += sum(by == "cloud" for at, _, by, *_ in self.device.stamps if at > began_s)
            self.cloud.kill()
        if self.kind in ("kill", "version"):
            self.cloud.start()
        elif self.kind == "stop":
            os.kill(self.cloud.process.pid, signal.SIGCONT)
        else:
            self.link.tell(f"rate {RATE}" if self.kind == "late" else "restore")
        return perf_counter()

    def _until(self, by: str, after_s: float) -> float:
        """When the first frame after this was answered by the cloud or the device."""
        while perf_counter() < after_s + BACK_S:
            for at, _, who, *_ in reversed(self.device.stamps[-500:]):
                if at <= after_s:
                    break
                if who == by:
                    return min(s for s, _, w, *_ in self.device.stamps[-2000:] if s > after_s and w == by)
            sleep(0.005)
        raise RuntimeError(f"no answer by the {by} within {BACK_S:g} s of {self.kind}")


def other_version(folder: Path) -> Path:
    """The shipped model, with another plan."""
    shipped = model_folder("mnist")
    plan = load_plan(shipped)
    (folder / "mnist").mkdir()
    for stage in plan.stages:
        (folder / "mnist" / stage.file).write_bytes((shipped / stage.file).read_bytes())
    save_plan(replace(plan, model_digest="f" * 64), folder / "mnist")
    return folder


def measure(kind: str, moments: int, frames: int, deadline: str | None) -> dict[str, Any]:
    """Frames answered, lost, doubled; seconds to the first local answer and back to the cloud."""
    with ExitStack() as stack:
        other = other_version(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        cloud = Cloud()
        stack.callback(cloud.kill)
        link = Link(cloud.port, "--rate", RATE, "--rtt", "10ms")
        stack.callback(link.close)
        options = {"model": "mnist", "cloud": link.address, "split": "1", "threads": 1, "deadline_s": deadline}
        options["codec"] = "raw"  # a smaller one might be in time even on the slow link
        run, device = stack.enter_context(Run(options_of(options), Report(quiet=True))), Device(frames)
        havoc = Havoc(kind, cloud, link, device, other)
        thread = threading.Thread(target=havoc.run, args=(moments,))
        thread.start()
        try:
            device.answer(run.open())
        finally:
            device.enough.set()
            device.begin.set()
            thread.join()
        ids = [frame for _, frame, *_ in device.stamps]
        return {
            "kind": kind,
            "frames": len(ids),
            "lost": len(set(range(max(ids) + 1)) - set(ids)),
            "twice": len(ids) - len(set(ids)),
            "out_of_order": sum(a > b for a, b in pairwise(ids)),
            "wrong": sum(not same for _, _, _, _, same, _ in device.stamps),
            "unanswered": sum(by == "nobody" for _, _, by, *_ in device.stamps),
            "missed": sum(missed for _, _, _, _, _, missed in device.stamps),
            "deadline": deadline,
            "moments": len(havoc.back_s),
            "first_local_s": havoc.first_s,
            "back_s": havoc.back_s,
            "by_the_other_version": havoc.used_while_other,
        }


def row(found: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [found[key] for key in ("kind", "moments", "frames", "lost", "twice", "out_of_order", "wrong", "missed")]
    worst = [f"{max(found[key], default=0.0) * 1e3:.0f} ms" for key in ("first_local_s", "back_s")]
    return f"| {' | '.join(map(str, [*cells, *worst]))} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--deadline")
    parser.add_argument("--json")
    args = parser.parse_args()
    found = []
    quiet = args.json == "-"
    if not quiet:
        print("| harm | moments | frames | lost | twice | out of order | wrong | missed | first local answer | back |")
        print("|" + " --- |" * 10)
    for kind in args.kinds.split(","):
        found.append(measure(kind, args.moments, args.frames, args.deadline))
        if not quiet:
            print(row(found[-1]), flush=True)
    if quiet:
        print(json.dumps(found))
    elif args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")
    if not quiet:
        print(f"\nworst of all moments; {machine_line('grpcio')}")


if __name__ == "__main__":
    main()
