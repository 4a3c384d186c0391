"""The emulated link against the kernel's own: `partway link emulate` and `tc tbf` at the same rate.

Two network namespaces and a virtual cable. For the kernel's link, both ends of the cable are shaped and talk directly;
for ours, the cable is unshaped and the relay stands between. The same programs measure both alternately: goodput of one
long transfer, and seconds for a frame in one direction and a small reply in the other. Needs root and iproute2.

    python -m benchmarks.link [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_line

RATES_BPS = (2_000_000, 8_000_000, 30_000_000, 100_000_000)
FRAMES_BYTES = (4_000, 60_000)
FRAMES = 15
BULK_S = 4.0
ROUNDS = 3
QUEUE_S = 0.1
NAMES = [f"pwl{side}{os.getpid()}" for side in "dc"]
NEAR, FAR, PORT = "198.18.7.1", "198.18.7.2", 7001
BURST_BYTES, BURST_S = 1600, 5e-4
"""tbf's bucket: a packet with its Ethernet header, or 0.5 ms of a fast link, without which tbf does not reach its rate.

Bytes within the bucket pass at once: short frames, and the reply, are that much faster over tbf.
"""

SERVER = f"""
import socket, struct
with socket.create_server(("{FAR}", {PORT})) as server:
    print("ready", flush=True)
    while True:
        end, _ = server.accept()
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with end, end.makefile("rb") as read:
            while head := read.read(8):
                left = struct.unpack("!Q", head)[0]
                while left:
                    left -= len(read.read(min(left, 1 << 16)))
                end.sendall(b"x" * 100)
"""
CLIENT = """
import json, socket, struct, sys
from time import perf_counter
host, port, *sizes = sys.argv[1:]
end = socket.create_connection((host, int(port)))
end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def seconds(size):
    begun = perf_counter()
    end.sendall(struct.pack("!Q", size) + bytes(size))
    left = 100
    while left:
        left -= len(end.recv(left))
    return perf_counter() - begun
print(json.dumps([seconds(int(size)) for size in sizes]))
"""


def ip(*words: object) -> None:
    """One command of iproute2."""
    subprocess.run(["ip", *map(str, words)], check=True)


def inside(name: str, *command: str) -> list[str]:
    """A command in a namespace."""
    return ["ip", "netns", "exec", name, *command]


def network(stack: ExitStack) -> None:
    """Two namespaces and a cable with offloading disabled, so that packets have the size they have on real links."""
    for name in NAMES:
        ip("netns", "add", name)
        stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
        ip("-n", name, "link", "set", "lo", "up")
    near, far = NAMES
    ip("-n", near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far)
    for name, address in zip(NAMES, (NEAR, FAR), strict=True):
        ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
        ip("-n", name, "link", "set", "cable", "up", "gso_max_segs", 1)


def shape(rate_bps: int | None) -> None:
    """The kernel's link on both ends; None: the bare cable."""
    for name in NAMES:
        subprocess.run(
            inside(name, "tc", "qdisc", "del", "dev", "cable", "root"), check=False, stderr=subprocess.DEVNULL
        )
        if rate_bps is None:
            continue
        limit = max(int(rate_bps / 8 * QUEUE_S), 15_000)
        burst = max(BURST_BYTES, int(rate_bps / 8 * BURST_S))
        tbf = f"tbf rate {rate_bps}bit burst {burst} limit {limit}".split()
        subprocess.run(inside(name, "tc", "qdisc", "add", "dev", "cable", "root", *tbf), check=True)


def transfers(sizes: list[int], address: tuple[str, int]) -> list[float]:
    """Seconds of each, one after another over one connection."""
    command = [sys.executable, "-c", CLIENT, address[0], str(address[1]), *map(str, sizes)]
    done = subprocess.run(inside(NAMES[0], *command), check=True, stdout=subprocess.PIPE, text=True, timeout=120)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def relayed(sizes: list[int], rate_bps: int) -> list[float]:
    """The same through the emulator, which runs on the device's side of the cable."""
    options = ["--to", f"{FAR}:{PORT}", "--rate", f"{rate_bps}bps", "--json"]
    command = inside(NAMES[0], sys.executable, "-m", "partway", "link", "emulate", *options)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        host, _, port = json.loads(process.stdout.readline())["address"].rpartition(":")
        try:
            return transfers(sizes, (host, int(port)))
        finally:
            process.terminate()


def cell(rate_bps: int) -> dict[str, Any]:
    """Both links at one rate, in turns."""
    bulk = int(rate_bps / 8 * BULK_S)
    sizes = [10, bulk, *(size for size in FRAMES_BYTES for _ in range(FRAMES))]
    kernel, ours = [], []
    for _ in range(ROUNDS):
        shape(rate_bps)
        kernel.append(transfers(sizes, (FAR, PORT)))
        shape(None)
        ours.append(relayed(sizes, rate_bps))
    return {
        "rate_bps": rate_bps,
        "bulk_bps": {name: bulk * 8 / _median(rounds, 1, 2) for name, rounds in (("tc", kernel), ("ours", ours))},
        "frames_s": {
            str(size): {
                name: _median(rounds, 2 + at * FRAMES, 2 + (at + 1) * FRAMES)
                for name, rounds in (("tc", kernel), ("ours", ours))
            }
            for at, size in enumerate(FRAMES_BYTES)
        },
    }


def _median(rounds: list[list[float]], first: int, last: int) -> float:
    return statistics.median(seconds for times in rounds for seconds in times[first:last])


def rows(found: dict[str, Any]) -> list[tuple[str, str, str, float]]:
    """(what, tc, ours, relative difference) of a cell."""
    bulk = found["bulk_bps"]
    table_rows = [
        ("bulk", f"{bulk['tc'] / 1e6:.2f} Mbps", f"{bulk['ours'] / 1e6:.2f} Mbps", bulk["ours"] / bulk["tc"] - 1)
    ]
    for size, times in found["frames_s"].items():
        what = f"{int(size) / 1e3:g} KB there, 100 B back"
        table_rows.append(
            (what, f"{times['tc'] * 1e3:.2f} ms", f"{times['ours'] * 1e3:.2f} ms", times["ours"] / times["tc"] - 1)
        )
    return table_rows


def table(cells: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| rate | what | tc tbf | emulator | difference |", "|" + " --- |" * 5]
    for found in cells:
        link = f"{found['rate_bps'] / 1e6:g} Mbps"
        lines += [f"| {link} | {what} | {tc} | {ours} | {off * 100:+.1f} % |" for what, tc, ours, off in rows(found)]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with ExitStack() as stack:
        network(stack)
        server = subprocess.Popen(inside(NAMES[1], sys.executable, "-c", SERVER), stdout=subprocess.PIPE, text=True)
        stack.callback(server.wait)
        stack.callback(server.kill)
        assert server.stdout is not None
        server.stdout.readline()
        cells: list[dict[str, Any]] = []
        for rate_bps in RATES_BPS:
            cells.append(cell(rate_bps))
            print(table(cells[-1:]).split("\n", 2)[2], file=sys.stderr, flush=True)
    kinds = [what for what, *_ in rows(cells[0])]
    worst = {what: max((off for found in cells for w, *_, off in rows(found) if w == what), key=abs) for what in kinds}
    kernel = os.uname().release.split("-")[0]
    machine = f"{machine_line('grpcio')}, Linux {kernel}"
    worst_line = "worst: " + ", ".join(f"{what} {off * 100:+.1f} %" for what, off in worst.items())
    print(f"{table(cells)}\n\n{worst_line}\n\n{machine}")
    if args.json is not None:
        args.json.write_text(json.dumps({"machine": machine, "worst": worst, "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
