"""podman with a time limit on everything, and networks whose containers are ended by their ids."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

LIMIT_S = 60.0
EMULATED_S = 150.0
"""Of one command under emulation: the imports alone take some 20 s."""
EMULATED = ("--platform=linux/arm64", "--security-opt=mask=/sys/devices/system/cpu")
"""ONNX Runtime hangs in qemu while it probes the processor's features by those files."""


def podman(*args: str, limit_s: float = LIMIT_S, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one podman command; its output is in the error when it fails and ``check`` is wanted."""
    done = subprocess.run(["podman", *args], capture_output=True, text=True, timeout=limit_s, check=False)
    if check and done.returncode:
        raise AssertionError(f"podman {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def read_json(text: str) -> dict[str, Any]:
    """The object that edge-run --json - printed."""
    found: dict[str, Any] = json.loads(text[text.index("{") :])
    return found


class Network:
    """A bridge of its own; the cloud has the address CLOUD on it."""

    NAME, SUBNET, CLOUD = "partway-test", "10.213.77.0/24", "10.213.77.7"

    def __init__(self) -> None:
        with suppress(AssertionError):
            podman("network", "rm", "-f", self.NAME)
        podman("network", "create", "--subnet", self.SUBNET, self.NAME)
        self._begun: list[str] = []

    def cloud(self, *args: str, options: Sequence[str] = (), image: str = "localhost/partway-cloud:cpu") -> str:
        """Start a cloud in the background, read-only; returns the container's id once it serves."""
        hard = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--network", self.NAME, "--ip", self.CLOUD]
        made = podman("run", "-d", *hard, *options, image, *args).stdout.strip()
        self._begun.append(made)
        self.wait_until_well(made)
        return made

    def wait_until_well(self, container: str) -> None:
        """Ask the container's own health check until it says yes."""
        from time import monotonic, sleep

        until_s = monotonic() + 30.0
        while podman("exec", container, "cloud-serve", "--health", check=False).returncode:
            logs = podman("logs", container, check=False)
            assert monotonic() < until_s, f"the cloud is not well: {logs.stdout}{logs.stderr}"
            sleep(0.3)

    def edge_options(self, *more: str) -> list[str]:
        """Of `podman run` for a device on this network."""
        return ["--rm", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--network", self.NAME, *more]

    def close(self) -> None:
        """End what was begun, by id, and the network."""
        for container in self._begun:
            podman("rm", "-f", "-t", "1", container, check=False)
        podman("network", "rm", "-f", self.NAME, check=False)
