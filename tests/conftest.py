"""Fixtures for every room: a small fake plan, the reference data, a real cloud in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from partway.engines.fake import fake_stage
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.plan_file import save_plan
from partway.proto.tensors import TensorSpec

ROOT = Path(__file__).parent.parent


NEIGHBOURS = (
    *("jobs/test_main_job", "jobs/test_readme", "jobs/test_stale_cloud", "jobs/test_package"),
    *("edge/doctor/test_checks", "edge/doctor/test_network"),
)
"""Tests that announce clouds or tell which is found: one at a time, since all processes of a run share the network."""


def _is_neighbour(file: str) -> bool:
    return file.removesuffix(".py").endswith(NEIGHBOURS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Neighbours' tests take longest, so they come first."""
    items.sort(key=lambda item: not _is_neighbour(str(item.path)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several workers, a file's tests stay in one, and all neighbours' tests in the same."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "neighbours" if _is_neighbour(file) else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real models, pictures and measurements; the test is skipped where it is absent."""
    folder = Path(os.environ.get("PARTWAY_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "mnist").is_dir():
        pytest.skip("reference data not found; set PARTWAY_DATA to its folder")
    return folder


@pytest.fixture
def fake_plan(tmp_path: Path) -> Path:
    """A plan of three fake stages (x -> a -> b -> y) on disk."""
    return write_fake_plan(tmp_path / "fake")


def write_fake_plan(
    folder: Path, sizes: tuple[int, ...] = (64, 16, 8, 4), stage_s: float = 0.0, name: str = "fake"
) -> Path:
    """A chain of fake stages with activations float32 [batch, size] between them."""
    folder.mkdir(parents=True, exist_ok=True)
    values = ["x", *(chr(ord("a") + i) for i in range(len(sizes) - 2)), "y"]
    specs = [TensorSpec(value, "float32", (None, size)) for value, size in zip(values, sizes, strict=True)]
    stages = []
    for index, (before, after) in enumerate(pairwise(specs)):
        body = fake_stage((before,), (after,), stage_s)
        (folder / f"stage{index}.json").write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        stages.append(Stage(f"stage{index}.json", digest, len(body), (before,), (after,), 1))
    tensors = {spec.name: spec for spec in specs}
    cuts = tuple(Cut((value,)) for value in values)
    save_plan(Plan(name, "0" * 64, "fake", tuple(stages), cuts, tensors, ("x",), ("y",)), folder)
    return folder


@dataclass(frozen=True)
class RealCloud:
    """A cloud-serve in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@pytest.fixture
def start_cloud() -> Iterator[Callable[..., RealCloud]]:
    """Start ``cloud-serve`` with the given extra options; every one started is ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> RealCloud:
        command = [sys.executable, "-m", "partway.cloud", "--grpc-port", "0", "--json", "--no-advertise", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "cloud-serve did not start"
        return RealCloud(process, json.loads(line)["grpc_port"])

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def beside_changes(stderr: str) -> str:
    """What was said besides changes of the candidate, which any run may see: other processes share the machine."""
    return re.sub(r"^edge-run: from frame .*\n", "", stderr, flags=re.MULTILINE)


@pytest.fixture(scope="session")
def edge_run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``edge-run`` as a process, as a user does."""

    def run(*options: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "partway.edge", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    return run
