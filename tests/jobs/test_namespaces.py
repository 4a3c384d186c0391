"""Clouds are found between machines: here between two network namespaces with two cables, one of them IPv6 only."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import pytest

pytestmark = pytest.mark.slow

FOLLOW = """
import sys
from time import sleep
from partway.edge.discovery.zeroconf import Search
search = Search(wait_s=20)
before = ()
for _ in range(400):
    now = search.clouds()
    if now != before:
        print(len(now), *(f"{c.address} {','.join(c.models)}" for c in now), flush=True)
    before = now
    sleep(0.05)
"""


def ip(*words: str) -> None:
    """One command of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass(frozen=True)
class Network:
    """Two namespaces; everything started in one of them is ended with the test."""

    device: str
    cloud: str
    stack: ExitStack

    def started(self, where: str, *command: str) -> "subprocess.Popen[str]":
        line = ["ip", "netns", "exec", where, sys.executable, *command]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        self.stack.callback(process.communicate)
        self.stack.callback(process.kill)
        return process

    def serve(self, host: str, port: int = 8001) -> "subprocess.Popen[str]":
        process = self.started(
            self.cloud, "-m", "partway.cloud", "--host", host, "--insecure", "--grpc-port", str(port), "--json"
        )
        assert process.stdout is not None
        assert process.stdout.readline()
        return process


@pytest.fixture
def network() -> Iterator[Network]:
    """``device`` and ``cloud``: one cable with IPv4, one with IPv6 alone."""
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not installed")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    names = [f"pw{side}{os.getpid()}" for side in "dc"]
    with ExitStack() as stack:
        for name in names:
            try:
                ip("netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
            for line in ("all", "default"):
                (subprocess.run(
                    ["ip", "netns", "exec", name, "sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{line}/accept_dad"],
                    check=True,
                ))  # fmt: skip
            ip("-n", name, "link", "set", "lo", "up")
        for cable in ("four", "six"):
            ip(*f"-n {names[0]} link add {cable} type veth peer name {cable} netns {names[1]}".split())
            for side, name in enumerate(names, 1):
                address = f"198.18.0.{side}/24" if cable == "four" else f"fd77::{side}/64"
                ip("-n", name, "address", "add", address, "dev", cable)
                ip("-n", name, "link", "set", cable, "up")
        yield Network(names[0], names[1], stack)


def found(network: Network) -> str:
    """Where edge-run's cloud is, in its own words."""
    run = ("-m", "partway.edge", "--model", "mnist", "--split", "1", "--frames", "2", "--codec", "raw")
    process = network.started(network.device, *run)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "2 by the cloud" in out
    where = re.search(r"cloud +(.*)", out)
    assert where
    return where[1]


@pytest.mark.parametrize(
    ("host", "cut", "says"),
    [
        ("0.0.0.0", None, r"198\.18\.0\.2:8001 \(found by zeroconf\)"),
        ("::", "four", r"\[(fd77::2|fe80:.*%six)\]:8001 \(found by zeroconf\)"),
    ],
    ids=["IPv4", "IPv6 alone"],
)
def test_a_device_finds_a_cloud_on_another_machine(host: str, cut: str | None, says: str, network: Network) -> None:
    """Without being told where; over whichever cable there is, though the cloud announces the addresses of both."""
    network.serve(host)
    if cut is not None:
        ip("-n", network.device, "link", "set", cut, "down")
    assert re.search(says, found(network))


def test_a_cloud_that_leaves_is_forgotten_and_one_that_comes_back_is_found(network: Network) -> None:
    """SIGTERM says goodbye to every device; a new one is heard of without asking again."""
    cloud = network.serve("0.0.0.0")
    follower = network.started(network.device, "-c", FOLLOW)
    assert follower.stdout is not None
    lines: Callable[[], str] = follower.stdout.readline
    assert lines().startswith("1 198.18.0.2:8001 mnist")
    cloud.send_signal(signal.SIGTERM)
    assert lines().strip() == "0"
    assert cloud.wait(20) == 0
    network.serve("0.0.0.0")
    assert lines().startswith("1 198.18.0.2:8001 mnist")


def test_a_cloud_that_appears_takes_over_from_one_that_leaves(network: Network) -> None:
    """While frames flow: a second cloud starts, the first says goodbye, and the device goes on with the second."""
    first = network.serve("0.0.0.0")
    run = ("-m", "partway.edge", "--model", "mnist", "--split", "1", "--codec", "raw", "--json", "-")
    line = ["ip", "netns", "exec", network.device, sys.executable, *run, "--input", "-", "--stdin-shape", "28x28x1"]
    pipe = subprocess.PIPE
    device = subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe)
    network.stack.callback(device.kill)
    assert device.stdin is not None and device.stderr is not None
    said = bytearray()
    reading = threading.Thread(target=lambda: [said.extend(text) for text in device.stderr or ()])
    reading.start()
    for count in range(1, 2000):
        device.stdin.write(bytes(28 * 28))
        device.stdin.flush()
        if count == 10:
            network.serve("0.0.0.0", 8002)
        if count == 40:
            first.send_signal(signal.SIGTERM)
        if b"frames go to the cloud at 198.18.0.2:8002" in said:
            break
        sleep(0.05)
    device.stdin.write(bytes(5 * 28 * 28))
    device.stdin.close()
    assert device.stdout is not None
    made = json.loads(device.stdout.read())
    device.wait(20)
    reading.join()
    device.stdout.close()
    device.stderr.close()
    assert b"frames go to the cloud at 198.18.0.2:8002" in said
    assert [frame["id"] for frame in made["frames"]] == list(range(count + 5))
    assert {frame["answered_by"] for frame in made["frames"][-5:]} == {"cloud"}
    assert made["summary"]["unanswered"] == 0


def test_the_device_half_is_that_of_this_checkout() -> None:
    """What ran in the namespaces is the package under test."""
    said = subprocess.run(
        [sys.executable, "-c", "import partway; print(partway.__file__)"], capture_output=True, text=True, check=True
    )
    import partway

    assert Path(said.stdout.strip()) == Path(str(partway.__file__))
