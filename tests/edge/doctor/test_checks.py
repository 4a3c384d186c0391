"""partway doctor: what is seen, what to do, and whether an inference could run."""

from pathlib import Path

import pytest

from partway.edge.discovery.zeroconf import Search
from partway.edge.doctor import checks as doctor
from partway.edge.doctor.checks import (
    BAD,
    GOOD,
    NOTE,
    check_cache,
    check_engines,
    check_heat,
    check_numpy,
)
from partway.engines.fake import FakeEngine
from partway.engines.interface import EngineEntry
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

DIGEST = load_plan(model_folder("mnist")).digest


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network on which nobody announces anything."""
    monkeypatch.setattr(Search, "_start", lambda self: None)


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
    found = {finding.check: finding for finding in check_engines()}
    onnx, litert = found["engine onnx"], found["engine litert"]
    assert (onnx.state, onnx.todo) == (BAD, "reinstall onnxruntime")
    assert (litert.state, "pip install ai-edge-litert" in litert.todo) == (NOTE, True)


def test_every_engine_of_the_registry_is_checked_once_per_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those on the same package share a finding; one that another package brings counts, a damaged one is told."""
    entries: dict[str, EngineEntry | None] = {
        "onnx": EngineEntry("onnx", FakeEngine, packages=("onnxruntime", "onnxruntime-gpu")),
        "onnx-int8": EngineEntry("onnx-int8", FakeEngine, packages=("onnxruntime", "onnxruntime-gpu")),
        "torch": EngineEntry("onnx", FakeEngine, packages=("torch",)),
        "theirs": EngineEntry("theirs", FakeEngine, packages=("their-engine",)),
        "free": EngineEntry("free", FakeEngine),
        "damaged": None,
    }

    def entry(name: str) -> EngineEntry:
        if (known := entries[name]) is None:
            raise InputError("mend that package")
        return known

    monkeypatch.setattr(doctor, "every_engine", lambda: list(entries))
    monkeypatch.setattr(doctor, "engine_entry", entry)
    monkeypatch.setattr(doctor, "_broken", lambda name: None)
    monkeypatch.setattr(doctor, "_installed", {"onnxruntime-gpu": "1.0"}.get)
    found = {finding.check.removeprefix("engine "): (finding.state, finding.text) for finding in check_engines()}
    assert found == {
        "onnx": (GOOD, "onnxruntime-gpu 1.0"),
        "theirs": (NOTE, "not installed"),
        "damaged": (BAD, "its package is damaged"),
    }
    monkeypatch.setattr(doctor, "_installed", {"torch": "2.0"}.get)
    assert [f.text for f in check_engines() if f.check == "engine torch"] == ["torch 2.0"]


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
