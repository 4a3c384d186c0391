"""A cloud that is lost at any step of the start: the next one is used, else the device goes on alone."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import RealCloud
from tests.support.lossy_proxy import LossyProxy

from partway.partitioner.plan.plan_file import load_plan, save_plan
from partway.partitioner.zoo import model_folder

EdgeRun = Callable[..., "subprocess.CompletedProcess[str]"]
STEPS = [("/Describe", 0), ("/Probe", 0), ("/Probe", 12), ("ModelStreamInfer", 0), ("ModelStreamInfer", 15)]
"""Describing, the first probe and a later one, the first frame on the stream, and frames of a trial."""


def _options(*addresses: str, model: str = "mnist", split: str = "2") -> list[str]:
    plain = ["--codec", "raw", "--threads", "1", "--frames", "3", "--json", "-", "--timeout", "1s"]
    return ["--model", model, "--cloud", ",".join(addresses), "--split", split, *plain]


def _made(done: "subprocess.CompletedProcess[str]") -> dict[str, int]:
    assert done.returncode == 0, done.stderr
    summary: dict[str, int] = json.loads(done.stdout)["summary"]
    assert summary["answered"] == 3
    return summary


@pytest.mark.parametrize(("method", "after"), STEPS)
def test_the_next_cloud_is_used(
    method: str, after: int, start_cloud: Callable[..., RealCloud], edge_run: EdgeRun
) -> None:
    """The first of two clouds breaks off at any step: the second answers the frames."""
    cloud = start_cloud("--threads", "1")
    with LossyProxy(cloud.port, method, "reset", after) as proxy:
        done = edge_run(*_options(proxy.address, cloud.address))
        assert proxy.lost
    assert _made(done)["by_cloud"] == 3


@pytest.mark.parametrize(("method", "after"), STEPS[1:])
def test_the_device_goes_on_alone(
    method: str, after: int, start_cloud: Callable[..., RealCloud], edge_run: EdgeRun
) -> None:
    """The only cloud breaks off: the device, which has the model, answers, and one sentence says so."""
    cloud = start_cloud("--threads", "1")
    with LossyProxy(cloud.port, method, "reset", after) as proxy:
        done = edge_run(*_options(proxy.address))
        assert proxy.lost
    assert _made(done)["by_device"] == 3
    assert done.stderr.count("starting on the device alone") == 1
    assert "Traceback" not in done.stderr
    reason = json.loads(done.stdout)["plan"]["reason"]
    assert reason.startswith("all on the device: the cloud at")


@pytest.mark.parametrize("method", ["/Probe", "ModelStreamInfer"])
def test_a_cloud_that_hangs_is_left_too(method: str, start_cloud: Callable[..., RealCloud], edge_run: EdgeRun) -> None:
    """Its connections stay open and nothing comes any more."""
    cloud = start_cloud("--threads", "1")
    with LossyProxy(cloud.port, method, "hang") as proxy:
        done = edge_run(*_options(proxy.address, cloud.address))
        assert proxy.lost
    assert _made(done)["by_cloud"] == 3


def test_a_cloud_that_is_killed_is_left_too(start_cloud: Callable[..., RealCloud], edge_run: EdgeRun) -> None:
    """The process itself dies while the link is measured."""
    first, second = start_cloud("--threads", "1"), start_cloud("--threads", "1")
    with LossyProxy(first.port, "/Probe", first.process.kill, 3) as proxy:
        done = edge_run(*_options(proxy.address, second.address))
        assert proxy.lost
    assert _made(done)["by_cloud"] == 3


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """The shipped model under a name that only clouds know."""
    folder = tmp_path / "models" / "elsewhere"
    shutil.copytree(model_folder("mnist"), folder)
    plan = load_plan(folder)
    plan = replace(plan, model="elsewhere")
    save_plan(plan, folder)
    return folder.parent


def test_a_model_is_fetched_on_from_the_next_cloud(
    remote: Path, tmp_path: Path, start_cloud: Callable[..., RealCloud], edge_run: EdgeRun
) -> None:
    """The first cloud breaks off while stages are fetched: the second has the same files, and answers."""
    cloud = start_cloud("--threads", "1", "--models", str(remote))
    with LossyProxy(cloud.port, "/Fetch", "reset") as proxy:
        done = edge_run(*_options(proxy.address, cloud.address, model="elsewhere"), "--cache", str(tmp_path / "cache"))
        assert proxy.lost
    assert _made(done)["by_cloud"] == 3
    assert "fetching the model from the one at" in done.stderr


def test_neither_cloud_nor_model_ends_with_a_sentence(
    remote: Path, tmp_path: Path, start_cloud: Callable[..., RealCloud], edge_run: EdgeRun
) -> None:
    """The only cloud breaks off before the model was fetched: exit code 1, and one line says why."""
    cloud = start_cloud("--threads", "1", "--models", str(remote))
    with LossyProxy(cloud.port, "/Fetch", "reset") as proxy:
        done = edge_run(*_options(proxy.address, model="elsewhere"), "--cache", str(tmp_path / "cache"))
        assert proxy.lost
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "no other cloud serves it" in line
