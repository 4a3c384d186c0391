"""What is shown of a decision: the data, the sentences, the page, the picture, and the command."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.explained import CLOUD, CODECS, DEVICE, LINK, machine

from partway.cli.commands import explain as explain_command
from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.crossovers import Chooser, Win
from partway.partitioner.decide.estimate import Candidate, Link
from partway.partitioner.decide.objectives import objective
from partway.partitioner.explain.explanation import (
    Explanation,
    Machine,
    ModelOperatorTime,
    changes,
    explain,
    machine_of,
    reason,
    rivals,
)
from partway.partitioner.plan.plan import Plan


def test_rows_are_best_first_and_the_excluded_last(made: Explanation, plan: Plan) -> None:
    """Every candidate is there once; those out say by what."""
    out = [row.excluded for row in made.rows]
    scores = [row.score for row in made.rows if row.excluded is None]
    assert scores == sorted(scores)
    assert out == sorted(out, key=lambda why: why is not None)
    assert {row.excluded for row in made.rows if row.candidate.codec == "fp16"} == {"--max-drop 1"}
    assert len({row.candidate for row in made.rows}) == len(made.rows) == len(CODECS) + 4 + 1
    assert made.chosen.candidate == Chooser([r.estimate for r in made.rows if not r.excluded], objective())(LINK)


def test_the_reason_is_one_sentence_about_the_rivals(made: Explanation) -> None:
    """The chosen one, its time, and against whom."""
    assert reason(made) == (
        "all in the cloud (jpeg75): 58.0 ms a frame against 121 ms for split 1 at a (raw) and 200 ms all on the device,"
        " on 5.00 Mbps, 40.0 ms round trip"
    )


def test_a_choice_without_rivals_says_so(plan: Plan) -> None:
    """Where constraints leave one candidate there is nothing to compare with."""
    alone = explain(plan, DEVICE, CLOUD, LINK, objective(), Constraints(keep_on_device=("x", "a", "b")))
    assert reason(alone).startswith("all on the device: 200 ms a frame; nothing else is admitted, on 5.00 Mbps")
    assert changes(alone) == ["At 40.0 ms round trip the answer is the same at every bandwidth: all on the device."]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("latency", "ms a frame"), ("throughput", "frames/s against"), ("bytes", "0 B a frame"), ("energy", "mJ a frame")],
)
def test_the_reason_speaks_the_objectives_unit(plan: Plan, name: str, shown: str) -> None:
    """Milliseconds, frames a second, bytes, joules."""
    assert shown in reason(explain(plan, DEVICE, CLOUD, LINK, objective(name)))


def test_changes_name_the_bandwidths_at_which_the_answer_changes(made: Explanation) -> None:
    """Slowest first, the link's own range marked, the borders those of the crossovers."""
    lines = changes(made)
    assert len(lines) == len(made.wins) == 4
    assert lines[0] == "At 40.0 ms round trip, below 137 kbps: all on the device."
    assert lines[1].startswith("From 137 kbps to ")
    assert lines[1].endswith(": all in the cloud (webp75).")
    assert lines[2].endswith(": all in the cloud (jpeg75) (you are here).")
    assert lines[-1].startswith("Above ")
    assert lines[-1].endswith(": all in the cloud (u8).")
    assert sum("you are here" in line for line in lines) == 1


def test_the_sentence_of_a_range_follows_its_win(made: Explanation) -> None:
    """Borders and names come from the wins, not from anywhere else."""
    wins = (Win(0.0, 2e6, Candidate(1, "raw")), Win(2e6, float("inf"), Candidate(2, "raw")))
    assert changes(replace(made, wins=wins)) == [
        "At 40.0 ms round trip, below 2.00 Mbps: split 1 at a (raw).",
        "Above 2.00 Mbps: split 2 at b (raw) (you are here).",
    ]


def test_rivals_are_the_raw_input_and_the_smallest_pictures(made: Explanation) -> None:
    """What every cut has to beat, message and all; pixels before floats, as they are smaller."""
    assert rivals(made) == [("raw input (u8)", 12160), ("JPEG (jpeg75)", 3160), ("WebP (webp75)", 2160)]


def test_the_map_agrees_with_the_crossovers(made: Explanation) -> None:
    """At the link's round trip every column has the winner of its range; the link lies within the map."""
    grid = made.map
    row = int(np.argmin(np.abs(np.log(np.array(grid.rtts_s) / LINK.rtt_s))))
    exact = Chooser([r.estimate for r in made.rows if not r.excluded], objective())
    for column in range(0, len(grid.bandwidths_bps), 10):
        link = Link(grid.bandwidths_bps[column], grid.rtts_s[row])
        assert grid.candidates[grid.winners[row, column]] == exact(link)
    assert grid.bandwidths_bps[0] < LINK.bandwidth_bps < grid.bandwidths_bps[-1]
    assert grid.rtts_s[0] < LINK.rtt_s < grid.rtts_s[-1]
    assert {win.candidate for win in made.wins} <= set(grid.candidates)


@pytest.mark.parametrize("link", [Link(50.0, 0.0), Link(1e12, 20.0), Link(1e6, 1e-7)])
def test_the_map_reaches_as_far_as_the_link(plan: Plan, link: Link) -> None:
    """Links beyond what people have are still on the map, a round trip of nothing at its lower edge."""
    grid = explain(plan, DEVICE, CLOUD, link, objective()).map
    assert grid.bandwidths_bps[0] <= link.bandwidth_bps <= grid.bandwidths_bps[-1]
    assert link.rtt_s <= grid.rtts_s[-1]
    assert link.rtt_s == 0 or grid.rtts_s[0] <= link.rtt_s


def test_a_tiny_model_gets_a_map_of_shorter_round_trips(plan: Plan) -> None:
    """Where the device needs microseconds a map from a millisecond up would have one colour."""
    quick = machine("quick", 1e-4, 1e-4, 3e-4)
    grid = explain(plan, quick, machine("quicker", 1e-6, 1e-6, 1e-6), Link(1e9, 0.01), objective()).map
    assert grid.rtts_s[0] < 1e-3
    assert len(grid.candidates) > 1


# --- the page and the pictures


# --- profiles


def test_a_profile_becomes_a_machine(plan: Plan) -> None:
    """Name, stages and, where there are, operators."""
    data = {"format": 1, "plan": plan.digest, "machine": "m", "stage_s": [1, 2, 3]}
    assert machine_of(data, plan) == Machine("m", (1.0, 2.0, 3.0))
    operators = [{"name": "/conv", "kind": "Conv", "stage": 1, "time_s": 0.5}]
    assert machine_of({**data, "operators": operators}, plan).operators == (ModelOperatorTime("/conv", "Conv", 1, 0.5),)


def test_times_of_a_busy_machine_are_named_as_such(plan: Plan) -> None:
    """In the notes, with the side that they are of."""
    data = {"format": 1, "plan": plan.digest, "machine": "m", "stage_s": [1, 2, 3]}
    busy = machine_of({**data, "busy": "measured on a busy machine (x)"}, plan)
    explained = explain(plan, busy, machine_of(data, plan), Link(1e6, 0.01), objective("latency"))
    assert explained.notes == ("the device's times were measured on a busy machine (x)",)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "no JSON object"),
        ({"plan": "0" * 64, "stage_s": [1, 2, 3]}, "another plan"),
        ({"stage_s": [1, 2, 3], "format": 2}, "update partway"),
        ({"stage_s": [1, 2]}, "2 stages, the plan 3"),
        ({"stage_s": [1, 2, 3], "operators": [{"name": "x"}]}, "operators are damaged"),
        ({"stage_s": [1, 2, 3], "operators": 3}, "operators are damaged"),
    ],
)
def test_a_profile_of_something_else_is_refused(plan: Plan, data: Any, says: str) -> None:
    """Of another plan, with other stages, or no profile at all."""
    with pytest.raises(InputError, match=says):
        machine_of({"format": 1, "plan": plan.digest, **data} if isinstance(data, dict) else data, plan)


# --- the command

Run = Callable[..., int]


def test_the_command_prints_the_table_and_the_reason(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """All candidates, best first, one sentence of reason, the changes, and what was excluded."""
    assert run("--bandwidth", "5Mbps", "--objective", "throughput") == 0
    out = capsys.readouterr().out
    assert "candidates by throughput on 5.00 Mbps, 40.0 ms round trip" in out
    assert out.index("webp75") < out.index("3 (device)")
    assert out.count("\n-> ") == 1
    assert "(you are here)" in out
    assert "excluded by --max-drop 1" in out


def test_the_command_writes_page_picture_and_json(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json nothing else is printed."""
    html, png = tmp_path / "out.html", tmp_path / "out.png"
    assert run("--html", str(html), "--png", str(png), "--json", "--keep-on-device", "input") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["candidates"][0]["name"] in html.read_text(encoding="utf-8")
    assert Image.open(io.BytesIO(png.read_bytes())).format == "PNG"
    assert {c["excluded"] for c in said["candidates"] if c["k"] == 0} == {"--keep-on-device input"}
    assert said["crossovers"][-1]["to_bps"] is None
    assert said["reason"].startswith(said["candidates"][0]["name"])
    assert (said["device"]["machine"], said["cloud"]["machine"]) == ("device.json", "cloud.json")


def test_without_profiles_this_machine_is_measured_and_that_is_said(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both halves are then the same machine, which people must know."""
    monkeypatch.setattr(explain_command, "MEASURE_S", 0.01)
    assert run("--json", profiled=False) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["device"] == said["cloud"]
    assert "the cloud is assumed to be as fast as this device" in said["notes"][-1]


def test_energy_names_the_power_it_was_worked_out_with(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A given power, or the default's name, is among the notes."""
    assert run("--objective", "energy", "--power", "compute=5W,send=3W,wait=1W", "--json") == 0
    assert "5 W computing, 3 W sending, 1 W waiting" in json.loads(capsys.readouterr().out)["notes"][0]
    assert run("--objective", "energy", "--json") == 0
    assert "power: Raspberry Pi 4" in json.loads(capsys.readouterr().out)["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bandwidth", "2"], "bandwidth '2' needs a number and a unit"),
        (["--rtt", "40"], "duration '40' needs a number and a unit"),
        (["--objective", "speed"], "unknown objective 'speed'"),
        (["--power", "lots"], "power 'lots'"),
        (["--max-device-memory", "64"], "size '64' needs a number"),
        (["--max-drop", "101"], "--max-drop is percentage points"),
        (["--max-drop", "nan"], "--max-drop is percentage points"),
        (["--keep-on-device", "imge"], "no cut of a <b> & c sends 'imge'"),
        (["--max-device-memory", "1B"], "no candidate is left"),
        (["--profile", "/nowhere.json"], "profile /nowhere.json"),
        (["--html", "/nowhere/out.html"], "the explanation cannot be written"),
        (["--png", "/nowhere/out.png"], "the explanation cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, arguments: list[str], says: str) -> None:
    """An InputError, so exit code 2, that says what was wrong."""
    with pytest.raises(InputError, match=re.escape(says)):
        run(*arguments)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage_s": [1, 2]}', "\xff"])
def test_a_profile_that_is_none_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    """Whatever the file holds."""
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="profile"):
        run("--profile", str(path))
