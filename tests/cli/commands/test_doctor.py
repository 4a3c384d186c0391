"""``partway doctor``: what it finds, what to do, and whether an inference could run."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partway.cli.main import main
from partway.edge.discovery.zeroconf import Search
from partway.edge.doctor import checks as doctor
from partway.edge.doctor.checks import BAD, GOOD, Finding
from partway.partitioner.plan.plan_file import load_plan
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
    output = json.loads(capsys.readouterr().out)
    found = {(f["check"], f["state"]) for f in output["findings"]}
    assert output["ready"]
    assert {("time", GOOD), ("inference", GOOD), ("engine onnx", GOOD), ("cache", GOOD)} <= found
    clouds = [f for f in output["findings"] if f["check"] == "cloud"]
    assert [f["state"] for f in clouds] == [GOOD, BAD]
    assert re.search(rf"{address}: partway \S+, .*bps, .* round trip", clouds[0]["text"])
    assert "start one with `cloud-serve`" in clouds[1]["todo"]
    (model,) = [f for f in output["findings"] if f["check"] == "model" and f["text"].startswith("mnist,")]
    assert DIGEST[:12] in model["text"]
    assert "the same as here" in model["text"]
    for finding in output["findings"]:
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
    output = capsys.readouterr()
    assert says in output.err
    assert output.out == ""
