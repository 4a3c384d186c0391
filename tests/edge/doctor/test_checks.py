"""partway doctor: what is seen, what to do, and whether an inference could run."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partway.cli.main import main
from partway.edge.discovery.zeroconf import FoundCloud, Search
from partway.edge.doctor import checks as doctor
from partway.edge.doctor import network as doctor_network
from partway.edge.doctor.checks import (
    BAD,
    GOOD,
    NOTE,
    Finding,
    check_cache,
    check_engines,
    check_heat,
    check_numpy,
    ready,
)
from partway.edge.doctor.network import check_cloud, check_clouds
from partway.partitioner.plan.plan import load_plan
from partway.partitioner.zoo import model_folder

DIGEST = load_plan(model_folder("mnist")).digest


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network on which nobody announces anything."""
    monkeypatch.setattr(Search, "_start", lambda self: None)


@pytest.mark.usefixtures("alone")
def test_everything_is_told_with_what_to_do(
    start_cloud: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cloud that serves and an address where nobody does: both are told, the device can infer, the code is 0."""
    address = start_cloud().address
    options = ["--cloud", address, "--cloud", "127.0.0.1:1", "--wait", "0s", "--cache", str(tmp_path / "cache")]
    assert main(["doctor", *options, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    found = {(f["check"], f["state"]) for f in said["findings"]}
    assert said["ready"]
    assert {("time", GOOD), ("inference", GOOD), ("engine onnx", GOOD), ("cache", GOOD)} <= found
    clouds = [f for f in said["findings"] if f["check"] == "cloud"]
    assert [f["state"] for f in clouds] == [GOOD, BAD]
    assert re.search(rf"{address}: partway \S+, .*bps, .* round trip", clouds[0]["text"])
    assert "start one with `cloud-serve`" in clouds[1]["todo"]
    (model,) = [f for f in said["findings"] if f["check"] == "model" and f["text"].startswith("mnist,")]
    assert DIGEST[:12] in model["text"]
    assert "as here" in model["text"]
    for finding in said["findings"]:
        assert finding["state"] == GOOD or finding["todo"], finding
        assert "\n" not in finding["text"] + finding["todo"]


@pytest.mark.usefixtures("alone")
def test_where_nothing_can_infer_the_code_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither engine loads, nobody serves: it says so and what to do."""
    monkeypatch.setattr(doctor, "MACHINE_CHECKS", (lambda: [Finding("inference", BAD, "no", "see the engines")],))
    assert main(["doctor", "--wait", "0s"]) == 1
    out = capsys.readouterr().out
    assert "BAD   inference" in out
    assert "-> see the engines" in out
    assert out.splitlines()[-1].startswith("no inference can run")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--wait", "1"), "needs a number and a unit"), (("--cloud", "no where"), "is not HOST:PORT")],
)
def test_bad_options_are_one_sentence(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 before anything is checked."""
    assert main(["doctor", *arguments]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("milli", "flags", "state", "says"),
    [
        ("45000", None, GOOD, "45 °C"),
        ("45000", "0", GOOD, "45 °C"),
        ("61000", "50005", BAD, "under-voltage"),
        ("61000", "6", NOTE, "slowed down"),
        ("84000", None, NOTE, "slowed down"),
        ("nonsense", "0", GOOD, "no thermometer"),
    ],
)
def test_heat_and_power_are_read_where_they_can_be(
    milli: str, flags: str | None, state: str, says: str, tmp_path: Path
) -> None:
    """The kernel's thermometers, and a Raspberry Pi's own flags."""
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text(milli + "\n")
    if flags is not None:
        firmware = tmp_path / "devices/platform/soc/soc:firmware"
        firmware.mkdir(parents=True)
        (firmware / "get_throttled").write_text(flags + "\n")
    (finding,) = check_heat(tmp_path)
    assert finding.state == state
    assert says in finding.text


def test_a_numpy_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """tflite-runtime 2.14 and before beside numpy 2: said, with both ways out."""
    import numpy

    monkeypatch.setattr(doctor, "_installed", lambda package: "2.14.0" if package == "tflite-runtime" else None)
    monkeypatch.setattr(numpy, "__version__", "2.1.0")
    (finding,) = check_numpy()
    assert (finding.state, "numpy<2" in finding.todo) == (BAD, True)
    monkeypatch.setattr(numpy, "__version__", "1.26.4")
    (finding,) = check_numpy()
    assert finding.state == GOOD


def test_an_engine_that_does_not_load_is_told_from_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken is BAD, missing is a note with the package's name."""
    monkeypatch.setattr(doctor, "_installed", lambda package: "1.0" if package == "onnxruntime" else None)
    monkeypatch.setattr(doctor.sys, "executable", "/bin/false")
    onnx, litert = check_engines()
    assert (onnx.state, onnx.todo) == (BAD, "reinstall onnxruntime")
    assert (litert.state, "pip install ai-edge-litert" in litert.todo) == (NOTE, True)


def test_a_cache_that_cannot_be_written_is_a_note(tmp_path: Path) -> None:
    """Stages are then fetched at every start; nothing is left behind in one that can be."""
    (tmp_path / "file").write_text("")
    (finding,) = check_cache(tmp_path / "file" / "cache")
    assert (finding.state, "--cache" in finding.todo) == (NOTE, True)
    (finding,) = check_cache(tmp_path / "cache")
    assert finding.state == GOOD
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_clock_before_the_installation_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board without a battery wakes up in the past."""
    real = doctor.time.gmtime

    monkeypatch.setattr(doctor.time, "gmtime", lambda *at: real(*at) if at else real(0))
    (finding,) = doctor.check_time()
    assert finding.state == BAD
    assert "1970-01-01" in finding.text


def test_what_a_cloud_announces_is_told(start_cloud: Callable[..., Any]) -> None:
    """Its other addresses, TLS, and that it is busy; another version is a note."""
    address = start_cloud().address
    cloud = FoundCloud(address, {}, "0", tls=True, load=9.0, hosts=("127.0.0.1", "192.0.2.7"))
    found = check_cloud(cloud, 5.0)
    assert f"{address} (also 192.0.2.7), TLS: partway" in found[0].text
    assert [f.check for f in found[:2]] == ["cloud", "cloud load"]
    assert ready(found)


def test_another_plan_of_a_shipped_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digests of both, and what to do."""
    finding = doctor_network._model("mnist", "f" * 64)
    assert finding.state == NOTE
    assert "f" * 12 in finding.text
    assert DIGEST[:12] in finding.text
    assert doctor_network._model("other", "e" * 64).state == GOOD


@pytest.mark.usefixtures("alone")
def test_a_network_without_clouds_says_how_to_start_one() -> None:
    """No cloud is a note: the device may do without."""
    (finding,) = check_clouds(0.0)
    assert (finding.state, "cloud-serve --host" in finding.todo) == (NOTE, True)
