"""edge-run by each objective and under constraints, as a user has it: two processes, the shipped model, real digits."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.conftest import RealCloud, beside_changes
from tests.jobs.test_main_job import LONG_S, SCHEMA, digits, edge_process, until_first_frame

from partway.partitioner.decide.objectives import OBJECTIVES
from partway.partitioner.decide.power import POWERS

__all__ = ["digits"]  # a fixture of the main job, used here as well

EdgeRun = Callable[..., subprocess.CompletedProcess[str]]
PI5 = POWERS["pi5"]
MODEL = ["--model", "mnist"]


@pytest.fixture
def cloud(start_cloud: Callable[..., RealCloud]) -> RealCloud:
    """cloud-serve with the shipped models."""
    return start_cloud("--threads", "1")


def decided(edge_run: EdgeRun, *options: str) -> dict[str, Any]:
    """The JSON of a run in which all frames are answered, as the schema has it."""
    done = edge_run(*MODEL, "--json", "-", *options)
    assert (done.returncode, beside_changes(done.stderr)) == (0, "")
    made: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(made, SCHEMA, jsonschema.Draft202012Validator)
    assert all(frame["top"][0]["label"] == frame["name"][0] for frame in made["frames"])
    return made


def score(objective: str, candidate: dict[str, Any], rtt_s: float) -> float:
    """The objective by its formula out of the JSON: of the measured parts where there are any."""
    p = candidate["measured"] or candidate
    moving_s = max(0.0, p["link_s"] - rtt_s)
    cloud_s = p["decode_s"] + p["suffix_s"]
    busy_s = p["read_s"] + p["prefix_s"] + p["encode_s"]
    if objective == "latency":
        return float(candidate["total_s"] if candidate["measured_s"] is None else candidate["measured_s"])
    if objective == "throughput":
        return float(max(busy_s, moving_s, cloud_s))
    if objective == "bytes":
        return float(p["bytes"] + p["reply_bytes"])
    waits_s = p["link_s"] - moving_s + p["queue_s"] + cloud_s
    return float(busy_s * PI5.compute_w + moving_s * PI5.send_w + waits_s * PI5.wait_w)


@pytest.mark.parametrize("objective", OBJECTIVES.own_names())
def test_each_objective_decides_by_what_was_measured(objective: str, edge_run: EdgeRun, cloud: RealCloud) -> None:
    """Scores are those of the formula, the lowest is chosen and taken by the frames, and the reason has both scores."""
    made = decided(edge_run, "--cloud", cloud.address, "--objective", objective, "--power", "pi5")
    plan, rtt_s = made["plan"], made["link"]["rtt_s"]
    assert plan["objective"] == objective
    scores = {(c["cut"], c["codec"]): c["score"] for c in plan["candidates"]}
    for candidate in plan["candidates"]:
        assert candidate["score"] == pytest.approx(score(objective, candidate, rtt_s))
    chosen, runner_up = plan["chosen"], plan["runner_up"]
    assert chosen["score"] == min(scores.values()) <= runner_up["score"]
    before = made["changes"][0]["frame"] if made["changes"] else len(made["frames"])
    assert before > 0
    assert {(f["cut"], f["codec"]) for f in made["frames"][:before]} == {(chosen["cut"], chosen["codec"])}
    assert sum(c["measured"] is not None for c in plan["candidates"]) >= 2
    unit = {"latency": "s", "throughput": "frames/s", "bytes": "B a frame", "energy": "J a frame"}[objective]
    assert re.search(rf"\d [mµkK]?{unit} against \d", plan["reason"])
    assert plan["notes"] == ([f"power: {PI5}"] if objective == "energy" else [])


@pytest.mark.parametrize("objective", ["latency", "bytes"])
def test_constraints_leave_one_split(objective: str, edge_run: EdgeRun, cloud: RealCloud) -> None:
    """With the input kept and the device too small for the whole, all goes through the one split left."""
    kept = ["--keep-on-device", "input", "--max-device-memory", "50KB", "--objective", objective]
    done = edge_run(*MODEL, *kept, "--cloud", cloud.address)
    assert done.returncode == 0
    assert re.fullmatch(
        r"edge-run: all on the device needs [\d.]+ KB, more than --max-device-memory 50.0 KB: .*\n",
        beside_changes(done.stderr),
    )
    assert "which holds the first 1" in done.stdout
    assert re.search(r"frames answered \(\d+ by the cloud\)", done.stdout)
    assert "-> " + ("" if objective == "latency" else f"by {objective}, ") + "split 1 at relu3 (" in done.stdout


def test_a_lost_cloud_leaves_a_device_that_is_too_small_without_answers(
    cloud: RealCloud, digits: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """Killed in the middle: the rest is marked, nothing is answered wrongly, exit code 1."""
    report, count, (path, labels) = tmp_path / "out.json", 4000, digits
    small = [
        "--input",
        str(path),
        "--max-device-memory",
        "50KB",
        "--split",
        "1",
        "--frames",
        str(count),
        "--json",
        str(report),
    ]
    with edge_process(*MODEL, "--cloud", cloud.address, *small) as process:
        assert " cloud " in until_first_frame(process)
        os.kill(cloud.process.pid, signal.SIGKILL)
        out, err = process.communicate(timeout=LONG_S)
        assert process.returncode == 1
    assert "is lost" in err
    assert "the remaining frames get no answer" in err
    assert "Traceback" not in err
    made = json.loads(report.read_text())
    jsonschema.validate(made, SCHEMA, jsonschema.Draft202012Validator)
    frames, summary = made["frames"], made["summary"]
    assert [frame["id"] for frame in frames] == list(range(count))
    assert (frames[0]["answered_by"], frames[-1]["answered_by"]) == ("cloud", "nobody")
    for frame in frames:
        right = labels[frame["id"] % len(labels)] if frame["answered_by"] == "cloud" else None
        assert (frame["top"][0]["label"] if frame["top"] else None) == right
    assert summary["answered"] + summary["unanswered"] == count
    assert f"{summary['unanswered']} frames were not answered" in out
    assert "not answered\n" in out


def test_a_device_fetches_no_stage_that_it_may_not_hold(
    edge_run: EdgeRun, start_cloud: Callable[..., RealCloud], tmp_path: Path
) -> None:
    """From a cloud that alone knows the model, the first stage is all that comes."""
    import shutil

    from partway.partitioner.plan.plan_file import load_plan, save_plan
    from partway.partitioner.zoo import model_folder, sample_folder

    shutil.copytree(model_folder("mnist"), tmp_path / "models" / "elsewhere")
    plan = load_plan(model_folder("mnist"))
    plan = replace(plan, model="elsewhere")
    save_plan(plan, tmp_path / "models" / "elsewhere")
    address = start_cloud("--models", str(tmp_path / "models")).address
    where = [
        "--cloud",
        address,
        "--cache",
        str(tmp_path / "cache"),
        "--input",
        str(sample_folder(model_folder("mnist"))),
    ]
    done = edge_run("--model", "elsewhere", *where, "--max-device-memory", "50KB", "--split", "1")
    assert done.returncode == 0, done.stderr
    assert {file.name for file in (tmp_path / "cache").iterdir()} == {plan.stages[0].digest}
