"""Bad input on the real command lines: exit code 2 and exactly one sentence that says what to do, never a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.conftest import write_fake_plan

from partway.cli.main import main as partway_main
from partway.edge.main import main as edge_main
from partway.errors import InputError
from partway.partitioner.plan.plan import plan_to_json
from partway.partitioner.plan.plan_file import load_plan, plan_from_json
from partway.partitioner.zoo import model_folder

onnx = pytest.importorskip("onnx")
helper = onnx.helper
COMMANDS: dict[str, Callable[[list[str]], int]] = {"partway": partway_main, "edge-run": edge_main}


def chain(opset: int = 17, domain: str = "", layers: int = 3, side: tuple[Any, ...] = ("batch", 3, 8, 8)) -> bytes:
    """x -> conv, relu, conv, relu ... -> y; with a ``domain`` its last operator is one that nobody knows."""
    rng, nodes, weights, last = np.random.default_rng(0), [], [], "x"
    for at in range(layers):
        weights.append(onnx.numpy_helper.from_array(rng.standard_normal((3, 3, 3, 3)).astype(np.float32), f"w{at}"))
        nodes.append(helper.make_node("Conv", [last, f"w{at}"], [f"c{at}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{at}"], [f"r{at}"]))
        last = f"r{at}"
    nodes.append(helper.make_node("Magic" if domain else "GlobalAveragePool", [last], ["y"], domain=domain))
    values = [helper.make_tensor_value_info("x", 1, side), helper.make_tensor_value_info("y", 1, None)]
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def _bytes(graph: Any) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def one_operator() -> bytes:
    """A model that no cut separates."""
    weight = onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    values = [helper.make_tensor_value_info(name, 1, ["batch", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "one", values[:1], values[1:], [weight])
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )


def shapeless() -> bytes:
    """Two inputs whose default sizes do not fit together."""
    values = [helper.make_tensor_value_info(n, 1, ["batch", s]) for n, s in (("a", 5), ("b", "m"), ("y", "k"))]
    nodes = [helper.make_node("Add", ["a", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    graph = helper.make_graph(nodes, "open", values[:2], values[2:])
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind, good and bad."""
    root = tmp_path_factory.mktemp("input")
    good = chain()
    files = {
        "good.onnx": good, "empty.onnx": b"", "text.onnx": b"hello, world\n" * 9, "short.onnx": good[: len(good) // 2],
        "random.onnx": np.random.default_rng(0).bytes(4000), "custom.onnx": chain(domain="acme.ai"),
        "opset0.onnx": chain(0), "opset6.onnx": chain(6), "opset99.onnx": chain(99), "one.onnx": one_operator(),
        "open.onnx": shapeless(), "noshape.onnx": chain(side=("batch", "c", "h", "w")), "model.bin": good,
        "brace.json": b"{", "list.json": b"[1]", "empty.json": b"{}", "labels.txt": b"a\nb\n", "latin.txt": b"\xff\xfe",
    }  # fmt: skip
    for name, content in files.items():
        (root / name).write_bytes(content)
    (root / "folder.onnx").mkdir()
    (root / "nothing").mkdir()
    (root / "unreadable").mkdir()
    (root / "unreadable" / "a.png").write_bytes(b"no picture")
    np.savez(root / "other.npz", z=np.zeros((1, 3)))
    np.savez(root / "wide.npz", x=np.zeros((1, 3, 9, 9), np.float32))
    (root / "locked.onnx").write_bytes(good)
    (root / "locked.onnx").chmod(0)
    for name, cuts in (("plan", "r0,r1"), ("sibling", "r0,c1")):
        assert _quiet("partway", ["slice", str(root / "good.onnx"), "--out", str(root / name), "--cuts", cuts])[0] == 0
    for name, folder in (("profile.json", "plan"), ("foreign.json", "sibling")):
        plan = load_plan(root / folder)
        profile = {"format": 1, "plan": plan.digest, "stage_s": [1e-3] * 3, "machine": "m"}
        (root / name).write_text(json.dumps(profile))
    for change in ("stage", "cut short", "format", "types"):
        _damage(Path(shutil.copytree(root / "plan", root / change)), change)
    return root


def _damage(folder: Path, change: str) -> None:
    text = (folder / "plan.json").read_text()
    if change == "stage":
        (folder / "stage1.onnx").write_bytes((folder / "stage1.onnx").read_bytes() + b"\0")
    elif change == "cut short":
        (folder / "plan.json").write_text(text[:400])
    elif change == "format":
        (folder / "plan.json").write_text(text.replace('"format": 1', '"format": 2'))
    else:
        (folder / "plan.json").write_text(json.dumps(json.loads(text) | {"stages": {"0": 1}}))


def _quiet(command: str, options: list[str]) -> tuple[int, str]:
    """The exit code and what was written on standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = COMMANDS[command](options)
        except SystemExit as left:  # argparse
            code = int(left.code or 0)
    return code, err.getvalue()


FILES = {
    "missing.onnx": "No such file or directory.*check the path",
    "empty.onnx": "is empty.*export it again",
    "text.onnx": "not an ONNX model.*give a .onnx file",
    "short.onnx": "cut short.*export it again",
    "random.onnx": "not an ONNX model.*give a .onnx file",
    "folder.onnx": "Is a directory.*check the path",
    "custom.onnx": r"operator Magic of the domain 'acme.ai'.*export it with standard operators",
    "opset0.onnx": "opset 0, Partway reads 7 to .*convert it",
    "opset6.onnx": "opset 6, Partway reads 7 to .*convert it",
    "opset99.onnx": "opset 99, Partway reads 7 to .*convert it",
    "open.onnx": "does not run on random inputs .*these were tried: --shape [a-z]+=1x",
}
VERBS = {
    "cuts": lambda model, root, out: ("partway", ["cuts", model]),
    "slice": lambda model, root, out: ("partway", ["slice", model, "--out", str(out / "made")]),
    "plan": lambda model, root, out: ("partway", ["plan", model, "--out", str(out / "made")]),
    "edge-run": lambda model, root, out: ("edge-run", ["--model", model, "--cloud", "none", "--cache", str(out)]),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_model_is_refused(name: str, verb: str, made: Path, tmp_path: Path) -> None:
    """By every command that reads a model file."""
    _refused(*VERBS[verb](str(made / name), made, tmp_path), FILES[name])
    assert not (tmp_path / "made" / "plan.json").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("verb", VERBS)
def test_a_model_that_may_not_be_read_is_refused(verb: str, made: Path, tmp_path: Path) -> None:
    """With the operating system's reason."""
    _refused(*VERBS[verb](str(made / "locked.onnx"), made, tmp_path), "Permission denied.*check the path")


def _refused(command: str, options: list[str], says: str) -> None:
    code, text = _quiet(command, options)
    assert code == 2, text
    assert text.count("\n") == 1, text
    assert text.startswith(f"{command}: ")
    assert "Traceback" not in text
    with pytest.raises(InputError, match=says):
        raise InputError(text)


CASES: dict[str, tuple[str, str]] = {
    # options, with {} for the folder of files, and what the sentence says
    "another suffix": ("partway cuts {}/model.bin", "Partway reads .onnx"),
    "no cut": ("partway slice {}/one.onnx --out {out}", "no cut separates.*give --cuts none"),
    "no cut, planned": ("partway plan {}/one.onnx --out {out}", "no cut separates.*give --cuts none"),
    "unknown value": ("partway slice {}/good.onnx --out {out} --cuts r9", "no value `r9`; did you mean"),
    "cuts backwards": ("partway slice {}/good.onnx --out {out} --cuts r1,r0", "name cuts from input to output"),
    "a cut twice": ("partway slice {}/good.onnx --out {out} --cuts r0,r0", "name cuts from input to output"),
    "a cut at the input": ("partway slice {}/good.onnx --out {out} --cuts x", "leave it out"),
    "a cut at the output": ("partway slice {}/good.onnx --out {out} --cuts y", "name a value before"),
    "a weight": ("partway slice {}/good.onnx --out {out} --cuts w1", "constants never cross"),
    "an empty cut": ("partway slice {}/good.onnx --out {out} --cuts r0,", "empty name; give names of values"),
    "shape of no input": ("partway cuts {}/good.onnx --shape z=1x3x8x8", "has no input `z`; it has x"),
    "shape of another rank": ("partway cuts {}/good.onnx --shape x=1x3x8", "4 dimensions, 3 were given"),
    "shape of another size": ("partway cuts {}/good.onnx --shape x=1x3x9x9", "is 8 in the model, not 9"),
    "no shape": ("partway cuts {}/good.onnx --shape x", "not NAME=SIZES, for example"),
    "zero shape": ("partway cuts {}/good.onnx --shape x=1x0x8x8", "not NAME=SIZES, for example"),
    "wrong channels": ("partway slice {}/noshape.onnx --out {out} --shape x=1x4x8x8", "give others by --shape"),
    "mean": ("partway slice {}/good.onnx --out {out} --mean a", "--mean 'a' is not a list of numbers, for example"),
    "means": ("partway slice {}/good.onnx --out {out} --mean 1,2", "--mean needs 1 or 3 numbers"),
    "labels": ("partway slice {}/good.onnx --out {out} --labels {}/latin.txt", "labels.* give a text file"),
    "out is a file": ("partway slice {}/good.onnx --out {}/text.onnx", "File exists.*give another --out"),
    "no folder of pictures": (
        "partway plan {}/good.onnx --out {out} --calibrate {}/text.onnx",
        "give one with real inputs",
    ),
    "an empty folder": ("partway plan {}/good.onnx --out {out} --calibrate {}/nothing", "give another with --calib"),
    "no pictures": ("partway plan {}/good.onnx --out {out} --calibrate {}/unreadable", "a.png.*replace or remove it"),
    "no frames": ("partway plan {}/good.onnx --out {out} --frames 0", "--frames must be 1 or more"),
    "stage changed": ("partway verify {}/stage", "stage1.onnx.*digest differs.*slice the model again"),
    "stage changed, profile": ("partway profile {}/stage", "digest differs.*slice the model again"),
    "stage changed, explain": ("partway explain {}/stage", "digest differs.*slice the model again"),
    "stage changed, edge": ("edge-run --model {}/stage --cloud none", "digest differs.*slice the model again"),
    "plan cut short": ("partway verify {}/cut~short", "cannot be read as a plan.*write it again"),
    "plan cut short, edge": ("edge-run --model {}/cut~short --cloud none", "cannot be read as a plan.*write it again"),
    "plan of tomorrow": ("partway explain {}/format", "not a plan of format 1.*write it again"),
    "plan of other types": ("edge-run --model {}/types --cloud none", "damaged.*write it again"),
    "no plan": ("partway verify {}/nothing", "no plan.json.*make one with `partway plan"),
    "unknown model": ("edge-run --model mnits --cloud none", "unknown model 'mnits'; did you mean mnist"),
    "foreign profile": ("partway explain {}/plan --profile {}/foreign.json", "another plan.*profile this plan again"),
    "foreign cloud": ("partway explain {}/plan --cloud-profile {}/foreign.json", "another plan.*profile this plan"),
    "no profile": ("partway explain {}/plan --profile {}/empty.json", "not a profile.*make one with `partway prof"),
    "a list": ("partway explain {}/plan --profile {}/list.json", "not a profile.*make one with `partway profile"),
    "no JSON": ("partway explain {}/plan --profile {}/brace.json", "it is not JSON; make one with `partway profile"),
    "missing profile": ("partway explain {}/plan --profile {}/none.json", "No such file.*make one with `partway"),
    "no unit": ("partway explain {}/plan --bandwidth 8", "bandwidth '8' needs a number and a unit, for example"),
    "no unit, edge": ("edge-run --model {}/plan --bandwidth 8", "bandwidth '8' needs a number and a unit, for ex"),
    "no unit of time": ("edge-run --model {}/plan --rtt 40", "duration '40' needs a number and a unit, for example"),
    "unknown unit": ("partway explain {}/plan --rtt 4days", "needs a number and a unit, for example 40ms"),
    "no bandwidth at all": ("partway explain {}/plan --bandwidth 0Mbps", "must be greater than zero, for example"),
    "unknown split": ("edge-run --model {}/plan --cloud none --split r7", "no cut is called 'r7'; did you mean"),
    "split too far": ("edge-run --model {}/plan --cloud none --split 9", "split 9 is out of range"),
    "split without a cloud": ("edge-run --model {}/plan --cloud none --split 1", "leave out --cloud none"),
    "unknown codec": ("edge-run --model {}/plan --cloud none --codec zip", "unknown codec 'zip'; known:"),
    "no picture": ("edge-run --model mnist --cloud none --input {}/text.onnx", "picture.*replace or remove it"),
    "missing picture": ("edge-run --model mnist --cloud none --input {}/none.png", "does not exist; give a picture"),
    "folder without pictures": ("edge-run --model mnist --cloud none --input {}/nothing", "give another with --input"),
    "tensors of another name": ("edge-run --model {}/plan --cloud none --input {}/other.npz", "x"),
    "tensors of another shape": ("edge-run --model {}/plan --cloud none --input {}/wide.npz", "x"),
    "against no model": ("partway verify {}/plan --against {}/text.onnx", "give the original file"),
    "against nothing": ("partway verify {}/plan --against {}/none.onnx", "No such file.*check the path"),
    "inputs of text": ("partway verify {}/plan --inputs {}/text.onnx", "not an .npz file.*numpy.savez"),
    "inputs of another name": ("partway verify {}/plan --inputs {}/other.npz", "lacks the model's input x"),
    "inputs of another shape": ("partway verify {}/plan --inputs {}/wide.npz", "x"),
    "no runs": ("partway verify {}/plan --runs 0", "--runs must be 1 or more"),
    "profile to nowhere": ("partway profile {}/plan --seconds 0.01 --out {}/none/p.json", "give another --out"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_sentence(case: str, made: Path, tmp_path: Path) -> None:
    """Whatever is wrong, the sentence says what to do."""
    line, says = CASES[case]
    out = str(tmp_path / "made")
    command, *options = [word.replace("{}", str(made)).replace("{out}", out).replace("~", " ") for word in line.split()]
    _refused(command, options, says)


@pytest.mark.parametrize("folder", ["stage", "cut short", "format", "types", "nothing", "missing"])
def test_a_cloud_with_nothing_to_serve_ends_with_one_sentence(folder: str, made: Path) -> None:
    """In a process of its own, as it is started."""
    command = [sys.executable, "-m", "partway.cloud", "--models", str(made / folder), "--grpc-port", "0"]
    done = subprocess.run([*command, "--no-advertise"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("cloud-serve: ")


def test_a_model_that_no_cut_separates_runs_whole(made: Path, tmp_path: Path, edge_run: Any) -> None:
    """edge-run takes it as it is, on either side; `--cuts none` makes a plan of one stage."""
    plan = tmp_path / "plan"
    assert _quiet("partway", ["plan", str(made / "one.onnx"), "--cuts", "none", "--out", str(plan)])[0] == 0
    assert len(load_plan(plan).stages) == 1
    for split in ("device", "cloud"):
        options = ("--cloud", "embedded", "--cache", str(tmp_path), "--split", split, "--frames", "2", "--json", "-")
        done = edge_run("--model", str(made / "one.onnx"), *options)
        assert done.returncode == 0, done.stderr
        assert {frame["answered_by"] for frame in json.loads(done.stdout)["frames"]} == {split}
        assert ("no cut separates" in done.stderr) == (split == "device")  # said when it is sliced


def test_pictures_of_any_size_calibrate(made: Path, tmp_path: Path) -> None:
    """A picture of another size than the model's is no error: it is scaled, as edge-run does it."""
    for name, size in (("tiny", (1, 1)), ("wide", (300, 20))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    line = ["plan", str(made / "good.onnx"), "--out", str(tmp_path / "plan"), "--calibrate", str(tmp_path)]
    assert _quiet("partway", line)[0] == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(found for key, value in inner for found in _paths(value, (*path, key)))]


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of three stages that take no time, with candidates and a profile."""
    folder = write_fake_plan(tmp_path_factory.mktemp("fakes") / "fake")
    (folder / "profile.json").write_text(json.dumps({"format": 1, "stage_s": [1e-3] * 3, "machine": "m"}))
    return folder


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_plan_brings_a_command_down(fake: Path, data: st.DataObject) -> None:
    """Anything anywhere in plan.json replaced by anything or left out: explain prints, or refuses in one sentence."""
    whole = plan_to_json(load_plan(fake))
    entry = {"k": 1, "codec": "raw", "bytes_mean": 64.0, "encode_s": 0.0, "decode_s": 0.0, "agreement": 1.0}
    whole["candidates"] = [entry]
    path = data.draw(st.sampled_from(_paths(whole)[1:]))
    at: Any = whole
    for key in path[:-1]:
        at = at[key]
    if data.draw(st.booleans()):
        at[path[-1]] = data.draw(_JSON)
    else:
        del at[path[-1]]
    folder = fake.parent / "changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(fake, folder)
    (folder / "plan.json").write_text(json.dumps(whole))
    profile = str(fake / "profile.json")
    code, text = _quiet("partway", ["explain", str(folder), "--profile", profile, "--cloud-profile", profile])
    assert code in (0, 2)
    assert text.count("\n") == (1 if code else 0), text


CHAINS = {
    "reads what no cut holds": lambda plan: plan["cuts"][1].__setitem__(0, "x"),
    "another output": lambda plan: plan["outputs"].__setitem__(0, "a"),
    "promises what nobody makes": lambda plan: plan["stages"][2]["outputs"].clear(),
    "cut 0 is not the input": lambda plan: plan["cuts"].__setitem__(0, ["a"]),
    "stages in another order": lambda plan: plan["stages"].reverse(),
    "a stage left out": lambda plan: (plan["stages"].pop(1), plan["cuts"].pop(1)),
    "a value in two ways": lambda plan: plan["stages"][0]["outputs"][0].__setitem__("shape", [None, 17]),
    "a file twice": lambda plan: plan["stages"][1].__setitem__("file", plan["stages"][0]["file"]),
    "no digest": lambda plan: plan["stages"][1].__setitem__("digest", "../x"),
    "fewer bytes than none": lambda plan: plan["stages"][1].__setitem__("size_bytes", -1),
    "data beside itself": lambda plan: plan["stages"][0].__setitem__("data", dict(plan["stages"][0])),
    "data elsewhere": lambda plan: plan["stages"][0].__setitem__("data", {**plan["stages"][0], "file": "../x"}),
}


@pytest.mark.parametrize("change", CHAINS)
def test_stages_that_do_not_chain_are_no_plan(change: str, fake: Path) -> None:
    """Each reads what is there by then, and what is promised is made."""
    data = plan_to_json(load_plan(fake))
    plan_from_json(json.loads(json.dumps(data)))
    CHAINS[change](data)
    data = json.loads(json.dumps(data))
    with pytest.raises(InputError, match="write it again with `partway plan`"):
        plan_from_json(data)


def test_the_shipped_plan_chains() -> None:
    """A check that refuses everything would pass the test above."""
    assert load_plan(model_folder("mnist")).stages
