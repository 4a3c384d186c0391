"""docker/compose.yml, brought up as it is written."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = "podman-compose==1.6.0"


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that stands for `docker compose` here, in an environment of its own."""
    folder = tmp_path_factory.mktemp("compose")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    subprocess.run([folder / "bin/pip", "install", "--quiet", COMPOSE], check=True, timeout=180)
    return [str(folder / "bin/podman-compose"), "-f", str(ROOT / "docker/compose.yml")]


def test_up_serves_and_runs_mnist(compose):
    """Both come up, and the device's thirty digits are answered by the cloud."""
    try:
        subprocess.run([*compose, "up", "-d"], check=True, timeout=180)
        until_s = time.monotonic() + 60
        while True:
            logs = subprocess.run([*compose, "logs", "edge"], capture_output=True, text=True, timeout=60, check=False)
            if "30 frames answered (30 by the cloud)" in logs.stdout + logs.stderr:
                break
            assert time.monotonic() < until_s, logs.stdout + logs.stderr
            time.sleep(1)
    finally:
        subprocess.run([*compose, "down", "-t", "2"], check=False, timeout=120)
