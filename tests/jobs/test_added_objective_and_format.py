"""A package that pip installed adds an objective and a model format; edge-run uses both by name."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.architectures import ARCHITECTURES

pytest.importorskip("onnx")

MODULE = '''
import gzip, tempfile
from pathlib import Path

from partway.partitioner.decide.objectives import Objective, Terms
from partway.partitioner.formats.onnx.slicer import sliceable


def cloud_time(_power):
    """Seconds that a frame takes in the cloud."""
    return Objective(
        "cloud-time",
        lambda estimate, _: estimate.best_known.cloud_s,
        lambda estimate: Terms(0.0, estimate.cloud_s, 0.0, 0.0),
        lambda seconds: f"{seconds * 1e3:.3g} cloud-ms", unit="per frame", noise_floor=1e-3,
    )


def gzipped(path, sizes):
    """An ONNX file, compressed."""
    file = Path(tempfile.mkdtemp()) / "model.onnx"
    file.write_bytes(gzip.decompress(path.read_bytes()))
    return sliceable(file, sizes)
'''
EDGE_RUN = (sys.executable, "-c", "import sys; from partway.edge.main import main; sys.exit(main())")
ENTRIES = "[partway.objectives]\ncloud-time = toy:cloud_time\n[partway.formats]\nonnxgz = toy:gzipped\n"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that has the package."""
    site = tmp_path / "site"
    info = site / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (site / "toy.py").write_text(MODULE)
    return {**os.environ, "PYTHONPATH": str(site)}


def test_edge_run_slices_a_file_of_an_added_format_and_decides_by_an_added_objective(
    installed: dict[str, str], tmp_path: Path
) -> None:
    """Suffix and name are enough; reason and JSON show the objective with its own unit."""
    model = tmp_path / "net.onnxgz"
    model.write_bytes(gzip.compress(ARCHITECTURES["chain"]().model.SerializeToString()))
    command = [*EDGE_RUN, "--model", str(model), "--objective", "cloud-time"]
    options = ["--cloud", "none", "--frames", "2", "--cache", str(tmp_path / "cache"), "--json", "-"]
    done = subprocess.run([*command, *options], env=installed, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["plan"]["objective"] == "cloud-time"
    assert made["plan"]["reason"].startswith("by cloud-time, all on the device")
    assert made["summary"]["answered"] == 2


def test_an_unknown_objective_names_the_added_one(installed: dict[str, str]) -> None:
    """The sentence suggests what is close, whoever brings it."""
    command = [*EDGE_RUN, "--model", "mnist", "--objective", "cloudtime"]
    done = subprocess.run(command, env=installed, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "did you mean 'cloud-time'" in done.stderr
