"""Scission's measurements as plans, profiles and tiers, through the commands that people use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.scission import SMALL

from partway.cli.main import main
from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.estimate import Link
from partway.partitioner.decide.objectives import objective
from partway.partitioner.explain.explanation import explain, machine_of
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.profile.scission_import import read_scission
from partway.partitioner.zoo import model_folder


def test_a_converted_plan_is_explained(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every split with the bytes and seconds of the file, the crossovers and the reason; only raw crosses."""
    folder = out / "net"
    profiles = ["--profile", str(folder / "pi.json"), "--cloud-profile", str(folder / "big-gpu.json")]
    assert main(["explain", str(folder), *profiles, "--bandwidth", "80kbps", "--rtt", "100ms", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    rows = {(row["k"], row["codec"]): row for row in said["candidates"]}
    assert set(rows) == {(0, "raw"), (1, "raw"), (2, None)}
    overhead, reply = 160, 40 + 160
    assert rows[0, "raw"]["bytes"] == 20000 + overhead
    assert rows[1, "raw"]["total_s"] == pytest.approx(1 + (5000 + overhead + reply) / 1e4 + 0.1 + 0.2)
    assert rows[2, None]["total_s"] == 3
    assert said["candidates"][0]["k"] == 1
    assert len(said["crossovers"]) == 3
    assert said["device"]["machine"] == "A Pi (device)"


def test_a_converted_plan_can_be_drawn(out: Path, tmp_path: Path) -> None:
    """The page and the picture of the crossover map need no stage files."""
    pytest.importorskip("matplotlib")
    folder, page, picture = out / "net", tmp_path / "x.html", tmp_path / "x.png"
    profiles = ["--profile", str(folder / "pi.json"), "--cloud-profile", str(folder / "box.json")]
    assert main(["explain", str(folder), *profiles, "--html", str(page), "--png", str(picture)]) == 0
    assert "split 1 at layer2 (raw)" in page.read_text(encoding="utf-8")
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("verb", [["explain"], ["verify"], ["profile"]])
def test_what_was_only_measured_cannot_be_run(out: Path, capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    """One sentence that says what such a plan is for."""
    assert main([*verb, str(out / "net")]) == 2
    assert "holds measured times only" in capsys.readouterr().err


def test_a_stage_without_a_file_is_named_as_such(out: Path) -> None:
    """Reading it is an InputError, as is asking how much memory it would take."""
    plan = load_plan(out / "net")
    with pytest.raises(InputError, match="its stages have no files"):
        read_stage(out / "net", plan.stages[0])
    with pytest.raises(InputError, match="measured times only"):
        engine_for(plan.engine)
    device, cloud = (machine_of(json.loads((out / "net" / f).read_text()), plan) for f in ("pi.json", "box.json"))
    with pytest.raises(InputError, match="leave out --max-device-memory"):
        explain(plan, device, cloud, Link(1e6, 0.1), objective(), Constraints(max_device_bytes=1e9))


def test_the_tiers_of_a_file_are_searched(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hosts and links come from tiers.json; constraints from the command line."""
    assert main(["tiers", str(out / "net"), "--best", "9", "--json"]) == 0
    everything = json.loads(capsys.readouterr().out)["assignments"]
    assert everything[0]["latency_s"] == pytest.approx(0.05 + 0.2 + 0.5 + 0.005 + 0.02 + 0.2)
    assert [part["host"] for part in everything[0]["ranges"]] == ["box", "Big(GPU)"]
    assert len(everything) == 3 + 3
    assert main(["tiers", str(out / "net"), "--use", "device", "--at", "1=cloud", "--host", "cloud=Big(GPU)"]) == 0
    assert "0-0 pi" in capsys.readouterr().out


def test_scissions_answers_come_out_of_the_command(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All twelve models convert; the published query, asked of the folder, has the published seconds."""
    source = data / "scission" / "raspi4_profiles.json"
    assert main(["convert", "scission", str(source), "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.glob("*/plan.json"))) == 12
    capsys.readouterr()
    query = ["--use", "device", "--at", "9=edge", "--at", "15=cloud", "--json"]
    assert main(["tiers", str(tmp_path / "vgg19"), *query]) == 0
    seconds = [round(one["latency_s"], 4) for one in json.loads(capsys.readouterr().out)["assignments"]]
    assert seconds == [9.0106, 9.0594, 9.0721, 9.1209, 9.1511]


def test_the_same_measurements_make_the_same_plan(out: Path, file: Path, tmp_path: Path) -> None:
    """Times do not take part in the digest, spans and bytes do."""
    changed = json.loads(json.dumps(SMALL))
    changed["models"]["net"]["blocks"][0]["seconds"]["pi"] = 9
    file.write_text(json.dumps(changed), encoding="utf-8")
    main(["convert", "scission", str(file), "--out", str(tmp_path / "again")])
    assert load_plan(tmp_path / "again" / "net").digest == load_plan(out / "net").digest
    changed["models"]["net"]["blocks"][0]["output_bytes"] = 5001
    file.write_text(json.dumps(changed), encoding="utf-8")
    main(["convert", "scission", str(file), "--out", str(tmp_path / "other")])
    assert load_plan(tmp_path / "other" / "net").digest != load_plan(out / "net").digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("platforms"), "holds no Scission measurements"),
        (lambda d: d["models"]["net"]["blocks"].clear(), "must follow one another"),
        (
            lambda d: d["models"]["net"]["blocks"].pop(0) and d["models"].update(net={"blocks": "x"}),
            "holds no Scission",
        ),
        (lambda d: d["models"]["net"]["blocks"][1].update(first_layer=7), "must follow one another"),
        (lambda d: d["models"]["net"]["blocks"][1]["seconds"].pop("pi"), "'pi'"),
        (lambda d: d["models"]["net"]["blocks"][1]["seconds"].update(pi=-1), "-1 is no size or time"),
        (lambda d: d["network_3g"]["pi->box"].update(bytes_per_s=0), "0 is no size or time"),
        (lambda d: d["platforms"].update(pi="A Pi"), "must end in (device), (edge) or (cloud)"),
        (lambda d: d["platforms"].update({"big gpu": "another (cloud)"}), "'big gpu'"),
    ],
)
def test_a_damaged_file_is_one_sentence(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, says: str
) -> None:
    """Exit code 2 and what is wrong."""
    changed = json.loads(json.dumps(SMALL))
    change(changed)
    file.write_text(json.dumps(changed), encoding="utf-8")
    assert main(["convert", "scission", str(file), "--out", str(tmp_path / "bad")]) == 2
    assert says in capsys.readouterr().err


def test_a_plan_that_runs_is_not_replaced(file: Path, tmp_path: Path) -> None:
    """The folders are named after models, so that of a real model may be there."""
    folder = tmp_path / "net"
    folder.mkdir()
    plan = (model_folder("mnist") / "plan.json").read_bytes()
    (folder / "plan.json").write_bytes(plan)
    assert main(["convert", "scission", str(file), "--out", str(tmp_path)]) == 2
    assert (folder / "plan.json").read_bytes() == plan


def test_names_that_would_share_a_file_are_refused(file: Path, tmp_path: Path) -> None:
    """Rather than one platform silently replacing the other."""
    text = (
        json.dumps(SMALL).replace('"box"', '"big-gpu"').replace("pi->box", "pi->big-gpu").replace("box->", "big-gpu->")
    )
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="written to the same file"):
        from partway.partitioner.profile.scission_import import write_all

        write_all(read_scission(file), tmp_path / "clash")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--at", "one=edge"], "--at 'one=edge' is not STAGE=TIER"),
        (["--host", "edge"], "--host 'edge' is not TIER=HOST"),
        (["--use", "fog"], "there is no tier 'fog'"),
        (["--tiers", "/nowhere.json"], "describes no tiers"),
        (["--best", "0"], "must be 1 or more"),
    ],
)
def test_bad_wishes_are_one_sentence(
    out: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    """Exit code 2 and what to write instead."""
    assert main(["tiers", str(out / "net"), *arguments]) == 2
    assert says in capsys.readouterr().err
