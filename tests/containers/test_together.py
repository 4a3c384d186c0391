"""The device's image under arm64 emulation against the cloud's, over a network of containers: TLS and token on."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.containers.podman import EMULATED, EMULATED_S, Network, podman, read_json

from partway.partitioner.plan.plan_file import load_plan, save_plan
from partway.partitioner.zoo import model_folder

EDGE = "localhost/partway-edge:onnx-arm64"
LITERT = "localhost/partway-edge:litert-arm64"
TLS = ("--token-file", "/secrets/token", "--tls-cert", "/secrets/cert.pem", "--tls-key", "/secrets/key.pem")
TRUST = ("--tls-ca", "/secrets/cert.pem")
ENDS_S = 5.0


@pytest.fixture
def cloud(network: Network, secrets: Path) -> str:
    return network.cloud(*TLS, options=["-v", f"{secrets}:/secrets:ro"])


def device(network: Network, secrets: Path, image: str, *args: str, check: bool = True):
    """edge-run in the arm64 image, on the network of the cloud."""
    options = network.edge_options(*EMULATED, "-v", f"{secrets}:/secrets:ro")
    return podman("run", *options, image, *args, limit_s=EMULATED_S, check=check)


def answers(found: dict) -> list:
    """What each frame was taken for, and how surely."""
    return [(frame["top"][0]["label"], frame["top"][0]["probability"]) for frame in found["frames"]]


@pytest.mark.parametrize("image", [EDGE, LITERT])
def test_a_discovered_cloud_answers_an_arm_device_as_the_native_run_does(network, cloud, secrets, image):
    """Found by zeroconf, by TLS and token; every digit gets the label and probability of a run on this machine."""
    native = podman(
        "run", "--rm", "--read-only", "--network=none", "localhost/partway-edge:onnx", "--model", "mnist",
        "--cloud", "none", "--json", "-",
    )  # fmt: skip
    asked = ["--model", "mnist", "--split", "1", "--codec", "raw", "--json", "-", "--token-file", "/secrets/token"]
    asked += ["--timeout", "20s"]
    done = device(network, secrets, image, *asked, *TRUST)
    found, wanted = read_json(done.stdout), read_json(native.stdout)
    assert len(found["frames"]) == 30
    by = [frame["answered_by"] for frame in found["frames"]]
    assert by.count("cloud") > 20, (
        by
    )  # where this machine is busy, an emulated device gives up on an answer now and then
    for (label, surely), (right, right_surely) in zip(answers(found), answers(wanted), strict=True):
        assert label == right
        assert surely == pytest.approx(right_surely, abs=2e-3)


def test_a_wrong_or_missing_token_is_one_sentence(network, cloud, secrets):
    """UNAUTHENTICATED tells the device what to compare or give, and the exit code is 2."""
    asked = ["--model", "mnist", "--split", "1", "--cloud", f"{Network.CLOUD}:8001", *TRUST]
    wrong = device(network, secrets, EDGE, *asked, "--token-file", "/secrets/wrong", check=False)
    none = device(network, secrets, EDGE, *asked, check=False)
    assert wrong.returncode == none.returncode == 2
    assert "compare --token-file or PARTWAY_TOKEN on both sides" in wrong.stderr
    assert "give --token-file FILE or set PARTWAY_TOKEN" in none.stderr
    assert "Traceback" not in wrong.stderr + none.stderr


def test_stages_a_device_lacks_are_fetched_and_checked_by_digest(network, secrets, tmp_path):
    """A model that only the cloud has; its stages lie in the cache by digest, and a damaged one is fetched again."""
    models = tmp_path / "models"
    (models / "numbers").mkdir(parents=True)
    plan = replace(load_plan(model_folder("mnist")), model="numbers")
    for stage in plan.stages:
        for file in stage.files:
            (models / "numbers" / file.file).write_bytes((model_folder("mnist") / file.file).read_bytes())
    save_plan(plan, models / "numbers")
    podman("volume", "create", "partway-stages", check=False)
    try:
        network.cloud(
            *TLS, "--models", "/models", options=["-v", f"{secrets}:/secrets:ro", "-v", f"{models}:/models:ro"]
        )
        asked = ["--model", "numbers", "--split", "2", "--frames", "2", "--token-file", "/secrets/token", *TRUST]
        options = network.edge_options(*EMULATED, "-v", f"{secrets}:/secrets:ro", "-v", "partway-stages:/cache")
        run = ["run", *options, EDGE, *asked, "--cloud", f"{Network.CLOUD}:8001"]
        assert "2 frames answered (2 by the cloud)" in podman(*run, limit_s=EMULATED_S).stdout
        place = Path(podman("volume", "inspect", "partway-stages", "--format", "{{.Mountpoint}}").stdout.strip())
        kept = {path.name: path for path in (place / "partway").iterdir()}
        assert set(kept) >= {plan.stages[0].digest, plan.stages[1].digest}
        for digest, path in kept.items():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        kept[plan.stages[0].digest].write_bytes(b"damaged")
        again = podman(*run, limit_s=EMULATED_S)
        assert "is damaged; fetching it again" in again.stderr
        assert hashlib.sha256(kept[plan.stages[0].digest].read_bytes()).hexdigest() == plan.stages[0].digest
    finally:
        podman("volume", "rm", "-f", "partway-stages", check=False)


class Camera:
    """Feeds a device a frame every so often, and reads its lines as they come."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process, self.sent, self.lines = process, 0, []
        self._enough = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._reader.start()
        self._writer.start()

    def _write(self) -> None:
        while not self._enough.wait(0.03):
            self.process.stdin.write(bytes([self.sent % 256]) * 784)
            self.process.stdin.flush()
            self.sent += 1
        self.process.stdin.close()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.decode())

    def by(self) -> list[str]:
        """Who answered, frame by frame."""
        found = [re.search(r" (cloud|device) +[0-9.]+ ms$", line) for line in self.lines if line.startswith("stdin[")]
        return ["nobody" if match is None else match[1] for match in found]

    def until(self, seen, limit_s: float) -> None:
        """Until ``seen()``, or it took too long."""
        until_s = time.monotonic() + limit_s
        while not seen():
            assert time.monotonic() < until_s, "".join(self.lines[-20:])
            assert self.process.poll() is None, "".join(self.lines[-20:])
            time.sleep(0.1)

    def end(self) -> int:
        """No more frames; the exit code."""
        self._enough.set()
        self._writer.join(10)
        code = self.process.wait(60)
        self._reader.join(10)
        return code


@contextmanager
def camera(network: Network, secrets: Path) -> Iterator[Camera]:
    """An emulated device that answers frames from standard input."""
    options = network.edge_options(*EMULATED, "-v", f"{secrets}:/secrets:ro", "-i", "--name", "partway-camera")
    asked = ["--model", "mnist", "--split", "1", "--cloud", f"{Network.CLOUD}:8001", "--token-file", "/secrets/token"]
    frames = ["--input", "-", "--stdin-shape", "28x28", "--timeout", "20s"]
    process = subprocess.Popen(
        ["podman", "run", *options, EDGE, *asked, *TRUST, *frames], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Camera(process)
    finally:
        podman("rm", "-f", "-t", "1", "partway-camera", check=False)
        process.wait(20)
        process.stdout.close()


def test_a_cloud_killed_and_restarted_or_drained_costs_no_frame(network, cloud, secrets):
    """Killed in mid-run, the device answers; restarted, the cloud does again; SIGTERM drains it within 5 s."""
    with camera(network, secrets) as watching:
        watching.until(lambda: watching.by().count("cloud") > 20, EMULATED_S)
        podman("kill", "--signal", "KILL", cloud)
        watching.until(lambda: watching.by().count("device") > 20, 60)
        podman("start", cloud)
        network.wait_until_well(cloud)
        known = len(watching.by())
        watching.until(lambda: watching.by()[known:].count("cloud") > 20, 90)
        begun_s = time.monotonic()
        podman("kill", "--signal", "TERM", cloud)
        podman("wait", cloud)
        assert time.monotonic() - begun_s < ENDS_S
        assert podman("inspect", cloud, "--format", "{{.State.ExitCode}}").stdout.strip() == "0"
        known = len(watching.by())
        watching.until(lambda: watching.by()[known:].count("device") > 5, 60)
        assert watching.end() == 0
        ids = [int(re.match(r"stdin\[(\d+)\]", line)[1]) for line in watching.lines if line.startswith("stdin[")]
        assert ids == list(range(watching.sent))
        assert "nobody" not in watching.by()


def test_the_health_of_a_device_is_told_while_it_runs(network, cloud, secrets):
    """The image's own health check, in the container beside the run, says how many frames were answered."""
    with camera(network, secrets) as watching:
        watching.until(lambda: len(watching.by()) > 3, EMULATED_S)
        check = json.loads(podman("inspect", "partway-camera", "--format", "{{json .Config.Healthcheck.Test}}").stdout)
        said = podman("exec", "partway-camera", *check[1:], limit_s=EMULATED_S)
        assert int(said.stdout.split()[0]) > 3
        assert watching.end() == 0
