"""edge-run in this process, mostly with a real cloud in another."""

import json
import os
import shutil
import socket
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from tests.conftest import ROOT, RealCloud

from partway.edge.discovery.zeroconf import FoundCloud, Search
from partway.edge.emulator.relay import Relay
from partway.edge.emulator.shaper import RatePace, Shape
from partway.edge.main import _command, main
from partway.edge.options import Options
from partway.edge.pipeline.in_flight import FrameGroup
from partway.edge.pipeline.runner import Runner
from partway.edge.session.run import Run
from partway.edge.session.start import startup as opening
from partway.edge.session.start.embedded_cloud import EmbeddedCloud
from partway.edge.transport.fake import FakeCloud
from partway.partitioner.plan.plan_file import load_plan, save_plan
from partway.partitioner.zoo import bundled_folder, model_folder

SCHEMA = json.loads((ROOT / "docs" / "edge-run.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, so that none meets what another fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache" / "partway"


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Twelve frames of random pixels, quickly read."""
    np.savez(tmp_path / "digits.npz", images=np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8))
    return tmp_path / "digits.npz"


@pytest.fixture
def cloud(start_cloud: Callable[..., RealCloud]) -> RealCloud:
    """cloud-serve with the shipped models, in its own process."""
    return start_cloud("--threads", "1")


def report_of(options: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    """The JSON of a run in this process, checked against the documented schema."""
    assert main([*options, "--json", "-"]) == code
    made: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    jsonschema.validate(made, SCHEMA, jsonschema.Draft202012Validator)
    return made


@pytest.mark.parametrize("split", ["auto", "device", "3", "logits", "cloud", "0", "1", "relu3", "2"])
def test_every_split_runs_and_reports_as_documented(
    split: str, digits: Path, cloud: RealCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """All frames are answered through the split asked for, and the JSON is as docs/edge-run.schema.json says."""
    made = report_of(["--model", "mnist", "--split", split, "--cloud", cloud.address, "--input", str(digits)], capsys)
    assert [frame["id"] for frame in made["frames"]] == list(range(12))
    assert made["summary"]["answered"] == 12
    chosen = made["plan"]["chosen"]
    assert {(frame["cut"], frame["codec"]) for frame in made["frames"]} == {(chosen["cut"], chosen["codec"])}
    k = {"device": 3, "logits": 3, "cloud": 0, "relu3": 1}.get(split, split)
    assert split == "auto" or chosen["cut"] == int(k)
    by = "device" if chosen["codec"] is None else "cloud"
    assert {frame["answered_by"] for frame in made["frames"]} == {by}


def test_the_parts_of_every_frame_add_up(digits: Path, cloud: RealCloud, capsys: pytest.CaptureFixture[str]) -> None:
    """In the report too, total_s is the sum of the parts, and the counts are those of the frames."""
    made = report_of(
        ["--model", "mnist", "--split", "1", "--cloud", cloud.address, "--input", str(digits), "--frames", "30"], capsys
    )
    parts = ("read_s", "waited_s", "prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s")
    for frame in made["frames"]:
        assert frame["total_s"] == pytest.approx(sum(frame[part] for part in parts))
    summary = made["summary"]
    assert summary["bytes_sent"] == sum(frame["bytes_sent"] for frame in made["frames"]) > 0
    assert (summary["by_cloud"], summary["by_device"]) == (30, 0)
    assert [frame["name"] for frame in made["frames"]] == [f"digits.npz[{index % 12}]" for index in range(30)]


def test_the_schema_is_strict() -> None:
    """Every object names all its fields and describes each; only a frame and what a task reads let others in."""
    frame = SCHEMA["$defs"]["frame"]
    kinds = [frame["properties"][name]["items"] for name in ("boxes", "text")]
    open_to_tasks = [frame, frame["properties"]["outputs"], SCHEMA["$defs"]["entry"], *kinds]
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def objects(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            if node.get("type") == "object":
                yield node
            for value in node.values():
                yield from objects(value)
        elif isinstance(node, list):
            for value in node:
                yield from objects(value)

    def described(field: dict[str, Any]) -> bool:
        return "description" in field or "description" in SCHEMA["$defs"].get(field["$ref"].rpartition("/")[2], {})

    found = list(objects(SCHEMA))
    assert len(found) == 17
    for node in found:
        assert node["additionalProperties"] is False or node in open_to_tasks
        assert set(node["required"]) <= set(node["properties"])
        assert all(described(field) for field in node["properties"].values())


def test_measured_stands_beside_estimated(digits: Path, cloud: RealCloud, capsys: pytest.CaptureFixture[str]) -> None:
    """Auto tries the best two candidates and a real split, and shows every candidate."""
    made = report_of(["--model", "mnist", "--cloud", cloud.address, "--input", str(digits)], capsys)
    candidates = made["plan"]["candidates"]
    measured = [c for c in candidates if c["measured_s"] is not None]
    assert {(c["cut"], c["codec"]) for c in candidates} >= {(0, "u8"), (0, "raw"), (1, "raw"), (2, "raw"), (3, None)}
    assert 2 <= len(measured) <= 3
    assert any(0 < c["cut"] < 3 for c in measured)
    assert made["link"]["measured"] is True
    assert "against" in made["plan"]["reason"]


def test_another_link_can_be_asked_for(digits: Path, cloud: RealCloud, capsys: pytest.CaptureFixture[str]) -> None:
    """With --bandwidth and --rtt the decision is made for that link, nothing is tried, and it is said."""
    options = ["--model", "mnist", "--cloud", cloud.address, "--input", str(digits)]
    made = report_of([*options, "--bandwidth", "100kbps", "--rtt", "40ms"], capsys)
    assert made["link"] == {"bandwidth_bps": 100_000.0, "rtt_s": 0.04, "measured": False}
    assert made["plan"]["chosen"]["cut"] == 3
    by_cut = {(c["cut"], c["codec"]): c for c in made["plan"]["candidates"]}
    pixels = by_cut[0, "u8"]
    assert pixels["measured_s"] is None
    assert pixels["link_s"] > 0.04 + pixels["bytes"] * 8 / 1e5
    assert main([*options, "--rtt", "40ms"]) == 0
    assert "(asked for; measured: " in capsys.readouterr().out


def test_people_see_header_table_lines_and_summary(
    digits: Path, cloud: RealCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain text: model, engine, cloud and link, all candidates, a line a frame, percentiles, what to try next."""
    options = ["--model", "mnist", "--split", "1", "--codec", "raw", "--cloud", cloud.address, "--input", str(digits)]
    assert main(options) == 0
    out = capsys.readouterr().out
    header = ["  model  mnist, 3 stages", " engine  onnx ", f"  cloud  {cloud.address}\n", "   link  "]
    for text in (*header, "-> split 1 at relu3 (raw), as requested", "12 frames answered (12 by the cloud)", "p99"):
        assert text in out
    assert sum(line.startswith("digits.npz[") for line in out.splitlines()) == 12
    assert "try next:  edge-run --model mnist --split 1" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("batch", ["1", "5"])
def test_groups_and_windows_change_no_answer(
    batch: str, digits: Path, cloud: RealCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the window and the batch, the same labels come out as on the device alone."""
    options = ["--model", "mnist", "--input", str(digits)]
    alone = report_of([*options, "--cloud", "none"], capsys)
    split = report_of([*options, "--split", "2", "--cloud", cloud.address, "--batch", batch, "--window", "3"], capsys)
    assert [f["top"][0]["label"] for f in split["frames"]] == [f["top"][0]["label"] for f in alone["frames"]]
    assert alone["link"] is None
    assert [c["codec"] for c in alone["plan"]["candidates"]] == [None]


@pytest.mark.parametrize("codec", ["fp16", "raw"])
def test_a_codec_that_loses_something_may_be_asked_for(
    codec: str, digits: Path, cloud: RealCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """What auto would not dare without a measurement, --codec does."""
    options = ["--model", "mnist", "--input", str(digits), "--cloud", cloud.address, "--split", "1", "--codec", codec]
    made = report_of(options, capsys)
    assert {frame["codec"] for frame in made["frames"]} == {codec}


def test_outputs_and_drawn_pictures_are_saved(
    cloud: RealCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One .npz and one .jpg a frame, named in JSON, from pictures and arrays alike."""
    sample = next((model_folder("mnist") / "samples").glob("*.png"))
    with Image.open(sample) as picture:
        sizes = [picture.size, (60, 50)]
    np.savez(tmp_path / "big.npz", images=np.random.default_rng(0).integers(0, 256, (2, 50, 60), dtype=np.uint8))
    for number, file in enumerate((sample, tmp_path / "big.npz")):
        out = tmp_path / str(number)
        folders = ["--save-outputs", str(out / "outputs"), "--save-pictures", str(out / "pictures")]
        options = ["--model", "mnist", "--cloud", cloud.address, "--split", "1", "--input", str(file)]
        made = report_of([*options, *folders], capsys)
        for frame in made["frames"]:
            with np.load(frame["outputs_file"]) as saved:
                assert int(saved["logits"].argmax()) == frame["top"][0]["index"]
            with Image.open(frame["picture_file"]) as drawn:
                assert drawn.size == sizes[number]
        assert len(list((out / "pictures").iterdir())) == len(made["frames"])


def test_a_model_of_no_known_task_gives_its_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As base64 in JSON, which reads back to what --save-outputs writes instead."""
    plan = _tensors_plan(tmp_path / "plan")
    options = ["--model", str(plan), "--cloud", "none", "--frames", "2"]
    assert main(options) == 0
    assert "logits [1, 10]" in capsys.readouterr().out
    frames = report_of(options, capsys)["frames"]
    values = [np.frombuffer(b64decode(frame["outputs"]["logits"]["data"]), "<f4") for frame in frames]
    assert all(frame["top"] == [] and value.shape == (10,) for frame, value in zip(frames, values, strict=True))
    saved = report_of([*options, "--save-outputs", str(tmp_path / "out")], capsys)["frames"]
    for frame, value in zip(saved, values, strict=True):
        assert frame["outputs"] == {"logits": {"dtype": "float32", "shape": [1, 10]}}
        with np.load(frame["outputs_file"]) as file:
            np.testing.assert_allclose(file["logits"][0], value, rtol=1e-5)


def _tensors_plan(folder: Path) -> Path:
    """The shipped model with a plan that does not know what its output means."""
    shutil.copytree(model_folder("mnist"), folder)
    save_plan(replace(load_plan(folder), output={}), folder)
    return folder


def test_json_goes_to_a_file_beside_the_text(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a file, people still see their text, and the file holds the object."""
    file = tmp_path / "out.json"
    assert main(["--model", "mnist", "--cloud", "none", "--input", str(digits), "--json", str(file)]) == 0
    assert "12 frames answered" in capsys.readouterr().out
    jsonschema.validate(json.loads(file.read_text()), SCHEMA, jsonschema.Draft202012Validator)


def _refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence of a run that is refused with exit code 2 and prints nothing else."""
    assert main(options) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("edge-run: ")
    return line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--frames", "0"], "--frames must be 1 or more"),
        (["--window", "0"], "--window must be 1 to 64"),
        (["--batch", "65"], "--batch must be 1 to 64"),
        (["--threads", "-1"], "--threads must be 0"),
        (["--max-drop", "101"], "--max-drop is percentage points"),
        (["--max-drop", "nan"], "--max-drop is percentage points"),
        (["--bandwidth", "2"], "bandwidth '2' needs a number and a unit, for example 2Mbps"),
        (["--bandwidth", "0Mbps"], "greater than zero"),
        (["--rtt", "40"], "duration '40' needs a number and a unit, for example 40ms"),
        (["--deadline", "soon"], "duration 'soon' needs"),
        (["--timeout", "5"], "duration '5' needs"),
        (["--cloud", "embeded"], "--cloud 'embeded' is neither auto, embedded, none nor HOST:PORT; did you mean"),
        (["--cloud", "some where"], "cloud address 'some where' is not HOST:PORT"),
        (["--cloud", "http://h:1", "--split", "device"], "is not HOST:PORT"),
        (["--codec", "zip"], "unknown codec 'zip'; known: auto, raw, fp16"),
        (["--codec", "jpeg101"], "unknown codec"),
        (["--json", "/nowhere/out.json"], "--json /nowhere/out.json cannot be written (No such file or directory)"),
        (["--json", "/"], "cannot be written (Is a directory)"),
        (["--split", "4"], "split 4 is out of range; mnist has splits 0 (all in the cloud) to 3"),
        (["--split", "relu33"], "no cut is called 'relu33'; did you mean relu3?"),
        (["--split", "\u00b2"], "no cut is called '\u00b2'"),
        (["--split", "1"], "split 1 needs a cloud; leave out --cloud none or use --split device"),
        (["--input", "nowhere.png"], "input nowhere.png does not exist"),
        (["--save-outputs", "/dev/null/x"], "--save-outputs /dev/null/x cannot be written (Not a directory)"),
        (["--save-pictures", "/proc/x"], "--save-pictures /proc/x cannot be written"),
        (
            ["--input", "tests", "--save-pictures", "tests"],
            "--save-pictures tests is an input of this run; give another",
        ),
        (["--cache", "/dev/null/x"], "cache folder /dev/null/x cannot be written"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong is told at once in one sentence, before anything runs or is printed."""
    assert says in _refused(["--model", "mnist", "--cloud", "none", *options], capsys)


def test_a_model_is_named_in_one_of_two_ways(capsys: pytest.CaptureFixture[str]) -> None:
    """As the first argument or after --model; one that is misspelt is refused with the nearest name."""
    for named in (["mnits"], ["--model", "mnits"]):
        said = _refused([*named, "--cloud", "none"], capsys)
        assert "unknown model 'mnits'; did you mean mnist? known models: mnist" in said
    for wrong in ([], ["mnist", "--model", "mnist"]):
        with pytest.raises(SystemExit) as ended:
            main([*wrong, "--cloud", "none"])
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith("edge-run: ")


def test_a_secret_in_the_wrong_place_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Flags have no abbreviations: --token is not --token-file, and its value stays out of the message."""
    with pytest.raises(SystemExit) as ended:
        main(["mnist", "--token", "s3cret-of-mine"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "s3cret-of-mine" not in said
    assert "--token-file" in said


def test_a_json_file_is_not_touched_before_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that is refused leaves an old report as it was, and makes no new one."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("keep me")
    for file in (old, new):
        _refused(["--model", "mnist", "--cloud", "none", "--split", "9", "--json", str(file)], capsys)
    assert old.read_text() == "keep me"
    assert not new.exists()


def test_a_json_file_that_cannot_be_written_in_the_end_is_told(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk at the very end is a sentence too."""
    options = ["--model", "mnist", "--cloud", "none", "--input", str(digits), "--json", "/dev/full"]
    assert main(options) == 2
    assert "--json /dev/full cannot be written (No space left on device)" in capsys.readouterr().err


def test_an_unreadable_picture_costs_no_other_its_answer(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are answered, each bad one is named once however often its turn comes, and the exit code is 2."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.png").write_text("no picture")
    (folder / "b.npz").write_bytes(digits.read_bytes())
    options = ["--model", "mnist", "--cloud", "none", "--input", str(folder), "--frames", "26"]
    made = report_of(options, capsys, code=2)
    assert made["summary"]["answered"] == 24
    assert len(made["summary"]["unreadable"]) == 1
    assert main(options) == 2
    captured = capsys.readouterr()
    assert captured.err.count("a.png cannot be read (Pillow cannot read it)") == 1
    assert "24 frames answered" in captured.out


def test_nothing_readable_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When every picture is bad the run says so, and its report is still one."""
    (tmp_path / "a.png").write_text("no picture")
    made = report_of(["--model", "mnist", "--cloud", "none", "--input", str(tmp_path / "a.png")], capsys, code=2)
    assert made["frames"] == []


def test_an_empty_array_is_nothing_to_infer_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An input with no frame in it is refused."""
    np.savez(tmp_path / "empty.npz", images=np.zeros((0, 28, 28), np.uint8))
    for extra in ([], ["--frames", "5"]):
        options = ["--model", "mnist", "--cloud", "none", "--input", str(tmp_path / "empty.npz"), *extra]
        assert "nothing in the input" in _refused(options, capsys)


def test_a_model_without_samples_gets_random_input(fake_plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without input and samples, ten made-up frames show that it runs, and that is said."""
    assert main(["--model", str(fake_plan), "--cloud", "none"]) == 0
    out = capsys.readouterr().out
    assert "no --input given: random input" in out
    assert "10 frames answered (10 by the device)" in out
    made = report_of(["--model", str(fake_plan), "--cloud", "none", "--frames", "3"], capsys)
    assert [frame["top"] for frame in made["frames"]] == [[], [], []]


def test_a_model_of_single_frames_takes_no_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fixed first dimension and --batch do not go together."""
    text = (model_folder("mnist") / "plan.json").read_text()
    data = json.loads(text)
    del data["digest"]
    stages = [spec for stage in data["stages"] for key in ("inputs", "outputs") for spec in stage[key]]
    for spec in (*data["tensors"], *stages):
        spec["shape"][0] = 1
    (tmp_path / "plan.json").write_text(json.dumps(data))
    options = ["--model", str(tmp_path), "--cloud", "none", "--batch", "2"]
    assert "takes one frame at a time; leave out --batch" in _refused(options, capsys)


def test_a_cloud_with_another_version_of_the_model_is_refused(
    start_cloud: Callable[..., RealCloud], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Same name, other plan: both digests are named, and nothing is sent."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for file in model_folder("mnist").glob("*.onnx"):
        (folder / file.name).write_bytes(file.read_bytes())
    data = json.loads((model_folder("mnist") / "plan.json").read_text())
    del data["digest"]
    data["output"]["labels"][0] = "zero"
    (folder / "plan.json").write_text(json.dumps(data))
    address = start_cloud("--models", str(tmp_path)).address
    line = _refused(["--model", "mnist", "--cloud", address], capsys)
    ours, theirs = (load_plan(path).digest[:12] for path in (model_folder("mnist"), folder))
    assert f"the cloud at {address} has another version of mnist (plan {theirs}, here {ours})" in line


def test_a_name_the_cloud_does_not_know_lists_those_it_does(
    cloud: RealCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown here and there: the cloud's own models are listed."""
    line = _refused(["--model", "resnet50", "--cloud", cloud.address], capsys)
    assert "no model 'resnet50' here; served: " in line
    assert "mnist" in line


def test_a_cloud_that_does_not_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The address, the time and the reason are in the sentence."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    line = _refused(["--model", "mnist", "--cloud", f"127.0.0.1:{port}", "--timeout", "100ms"], capsys)
    assert f"no cloud answers at 127.0.0.1:{port} (tried gRPC for 0.1 s: connection refused)" in line


def _elsewhere(tmp_path: Path) -> Path:
    """The shipped model under a name that only a cloud knows."""
    folder = tmp_path / "models" / "elsewhere"
    folder.mkdir(parents=True)
    for file in model_folder("mnist").glob("*.onnx"):
        (folder / file.name).write_bytes(file.read_bytes())
    data = json.loads((model_folder("mnist") / "plan.json").read_text())
    del data["digest"]
    (folder / "plan.json").write_text(json.dumps({**data, "model": "elsewhere"}))
    return folder


def test_a_device_that_knows_nothing_learns_from_the_cloud(
    start_cloud: Callable[..., RealCloud],
    tmp_path: Path,
    digits: Path,
    own_cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Plan and stages come from the cloud and are kept by digest; once they are, its stage files are not needed."""
    folder = _elsewhere(tmp_path)
    plan = load_plan(folder)
    address = start_cloud("--models", str(folder.parent)).address
    options = ["--model", "elsewhere", "--cloud", address, "--input", str(digits), "--split", "1"]
    made = report_of(options, capsys)
    assert made["plan"]["digest"] == plan.digest
    assert made["summary"]["by_cloud"] == 12
    assert {path.name for path in own_cache.iterdir()} == {stage.digest for stage in plan.stages}

    bodies = {path: path.read_bytes() for path in folder.glob("*.onnx")}
    for path in bodies:
        path.unlink()
    assert report_of(options, capsys)["summary"]["by_cloud"] == 12
    assert main([*options, "--cache", str(tmp_path / "another")]) != 0, "an empty cache does need the files"
    capsys.readouterr()

    for path, body in bodies.items():
        path.write_bytes(body)
    damaged = own_cache / plan.stages[1].digest
    damaged.write_bytes(b"rotten")
    assert main(options) == 0
    assert damaged.read_bytes() == bodies[folder / plan.stages[1].file]


def test_a_cloud_that_sends_another_plan_than_it_names_is_refused(
    cloud: RealCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan whose digest is not the one its cloud works by would have every frame refused: it is told at once."""
    from dataclasses import replace

    from partway.edge.transport.client import CloudClient

    honest = CloudClient.describe
    monkeypatch.setattr(CloudClient, "describe", lambda self, *_: replace(honest(self, "mnist"), digest="0" * 64))
    line = _refused(["--model", "elsewhere", "--cloud", cloud.address], capsys)
    assert "does not match its digest" in line


def test_a_cloud_with_no_plan_lists_its_models(
    cloud: RealCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A description without a plan is an unknown model."""
    from partway.edge.transport.client import CloudClient

    honest = CloudClient.describe
    monkeypatch.setattr(CloudClient, "describe", lambda self, *_: honest(self, ""))
    line = _refused(["--model", "elsewhere", "--cloud", cloud.address], capsys)
    assert "unknown model 'elsewhere'" in line
    assert "mnist" in line


def test_an_embedded_cloud_is_started_and_named(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --cloud embedded the header says where it is, and that it ends with the run; afterwards it has."""
    assert main(["--model", "mnist", "--cloud", "embedded", "--split", "1", "--input", str(digits)]) == 0
    out = capsys.readouterr().out
    assert "embedded: started on this machine, process " in out
    pid = int(out.partition("this machine, process ")[2].partition(";")[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


class Heard(Search):
    """A search that has heard of one cloud already."""

    def __init__(self, found: FoundCloud | None) -> None:
        super().__init__(wait_s=0.0)
        if found is not None:
            self.add(found)


def test_a_cloud_found_by_zeroconf_is_used_instead_of_an_embedded_one(
    digits: Path, cloud: RealCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Auto takes the cloud that was found, says so, and ends the one it had begun to start."""
    pids = []
    honest = EmbeddedCloud

    def embedded(*args: Any) -> Any:
        pids.append(made := honest(*args))
        return made

    found = FoundCloud(cloud.address, {"mnist": load_plan(model_folder("mnist")).digest[:32]})
    monkeypatch.setattr("partway.edge.main.Search", lambda: Heard(found))
    monkeypatch.setattr(opening, "EmbeddedCloud", embedded)
    assert main(["--model", "mnist", "--input", str(digits)]) == 0
    assert f"{cloud.address} (found by zeroconf)" in capsys.readouterr().out
    (started,) = pids
    with pytest.raises(ProcessLookupError):
        os.kill(started.pid, 0)


def test_when_no_cloud_is_found_an_embedded_one_is_used(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Auto without a cloud in reach starts one; a Run that is given no search makes its own."""
    monkeypatch.setattr("partway.edge.main.Search", lambda: Heard(None))
    assert main(["--model", "mnist", "--input", str(digits)]) == 0
    assert "embedded: started on this machine" in capsys.readouterr().out

    from partway.edge.report.terminal import Report

    monkeypatch.setattr(opening, "Search", lambda: Heard(None))
    with Run(Options("mnist", inputs=(str(digits),)), Report(quiet=True)) as run:
        ready = run.open()
        samples = [item.read() for item in ready.opened.run_input.items()]
        assert len(list(ready.pipeline.answers(samples))) == 12


def _interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def test_an_early_ctrl_c_says_that_nothing_was_answered(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first frame there is no summary, one sentence, and exit code 130."""
    monkeypatch.setattr("partway.edge.session.run.measure_candidates", _interrupt)
    assert main(["--model", "mnist", "--cloud", "none", "--input", str(digits)]) == 130
    assert capsys.readouterr().err == "edge-run: interrupted before a frame was answered\n"


def test_ctrl_c_in_the_middle_keeps_what_was_answered(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames answered before Ctrl-C are in the text and in the JSON, and the exit code is 130."""
    honest = Runner._begin

    def begin(self: Runner, group: FrameGroup) -> None:
        if group.first_id == 5:
            raise KeyboardInterrupt
        honest(self, group)

    monkeypatch.setattr(Runner, "_begin", begin)
    options = ["--model", "mnist", "--cloud", "none", "--input", str(digits)]
    assert report_of(options, capsys, code=130)["summary"]["answered"] == 5
    assert main(options) == 130
    out = capsys.readouterr().out
    assert "5 frames answered" in out
    assert "interrupted; the frames above are the ones that were answered" in out
    assert "try next" not in out


@pytest.mark.parametrize("constraint", [("--keep-on-device", "relu3"), ("--max-device-memory", "64MB")])
def test_a_constrained_run_is_not_told_to_try_what_it_may_not(
    constraint: tuple[str, str], digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where not every split is allowed, none is suggested."""
    assert main(["--model", "mnist", "--cloud", "none", "--input", str(digits), *constraint]) == 0
    out = capsys.readouterr().out
    assert "12 frames answered" in out
    assert "try next" not in out


def test_what_to_try_next_has_the_options_that_the_model_needs() -> None:
    """A model with random weights is started with the option that says so."""
    assert _command(Options("squeezenet1_1", random_weights=True)) == "edge-run --model squeezenet1_1 --random-weights"
    assert _command(Options("mnist")) == "edge-run --model mnist"


def test_what_is_not_on_the_terminals_alphabet_is_escaped(
    digits: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An ASCII terminal costs no answer."""
    import sys

    with (tmp_path / "out.txt").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["--model", "mnist", "--cloud", "none", "--input", str(digits)]) == 0
    assert "\\xb5s" in (tmp_path / "out.txt").read_text() or " ms" in (tmp_path / "out.txt").read_text()
    assert "12 frames answered" in (tmp_path / "out.txt").read_text()


def test_a_closed_output_ends_the_run(digits: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When nobody reads any more, the run ends with code 1 and no traceback."""
    import sys

    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["--model", "mnist", "--cloud", "none", "--input", str(digits), "--json", "-"]) == 1


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """--help explains each option and --version names the package's."""
    for option, text in (("--help", "--max-drop"), ("--version", "partway ")):
        with pytest.raises(SystemExit) as ended:
            main([option])
        assert ended.value.code == 0
        assert text in capsys.readouterr().out


def test_the_shipped_folder_is_a_model_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A plan's folder may be named instead of the model, and brings its samples."""
    made = report_of(["--model", str(bundled_folder() / "mnist"), "--cloud", "none", "--frames", "2"], capsys)
    assert [frame["top"][0]["label"] for frame in made["frames"]] == [f["name"][0] for f in made["frames"]]


def test_a_deadline_travels_with_the_frames(
    digits: Path, cloud: RealCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--deadline goes to the cloud in milliseconds; frames that are in time are answered there."""
    from partway.edge.pipeline.encoder import Encoder

    deadlines = []
    honest = Encoder.__init__

    def watch(self: Encoder, plan: Any, deadline_ms: float | None = None) -> None:
        deadlines.append(deadline_ms)
        honest(self, plan, deadline_ms)

    monkeypatch.setattr(Encoder, "__init__", watch)
    options = ["--model", "mnist", "--cloud", cloud.address, "--split", "1", "--input", str(digits)]
    assert report_of([*options, "--deadline", "20s"], capsys)["summary"]["by_cloud"] == 12
    assert deadlines == [20_000.0]


def test_the_fake_cloud_serves_a_run(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fake shipped for users answers the shipped model's frames as the real cloud does."""
    from partway.edge.pipeline.encoder import Encoder
    from partway.edge.sources.files import open_source
    from partway.engines.registry import engine_for
    from partway.partitioner.decide.estimate import Candidate
    from partway.partitioner.plan.chain import load_chain
    from partway.partitioner.plan.plan_file import read_stage

    plan = load_plan(model_folder("mnist"))
    chain = load_chain(plan, engine_for("onnx", 1), lambda stage: read_stage(model_folder("mnist"), stage))
    runner = Runner(chain, Encoder(plan), FakeCloud(chain).open_stream, batch=5)
    samples = (item.read() for item in open_source([str(digits)], plan))
    results = list(runner.run(samples, lambda: Candidate(0, "png")))
    alone = report_of(["--model", "mnist", "--cloud", "none", "--input", str(digits)], capsys)
    assert [r.top[0][0] for r in results] == [frame["top"][0]["label"] for frame in alone["frames"]]


def test_by_latency_a_frame_takes_what_its_candidate_was_measured_to(
    digits: Path, cloud: RealCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over a thin emulated link p50 is that of the trial frames: no frame waits behind another of ours."""
    there = Shape(RatePace(200e3), 0.005)
    with Relay(("127.0.0.1", cloud.port), there, there) as relay:
        options = ["--model", "mnist", "--split", "2", "--codec", "raw", "--input", str(digits)]
        made = report_of([*options, "--cloud", f"127.0.0.1:{relay.port}"], capsys)
    assert made["summary"]["by_cloud"] == 12
    assert made["summary"]["p50_s"] < 1.5 * made["plan"]["chosen"]["measured_s"]


def test_large_photographs_are_reported_with_what_reading_them_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames of which reading takes longest say so: p50 is about what a frame takes of the run."""
    grain = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), dtype=np.uint8)
    for index in range(6):
        Image.fromarray(grain).save(tmp_path / f"{index}.jpg")
    made = report_of(["--model", "mnist", "--cloud", "none", "--input", str(tmp_path)], capsys)
    summary = made["summary"]
    assert summary["parts"]["read_s"] > summary["parts"]["prefix_s"]
    assert summary["p50_s"] >= summary["parts"]["read_s"]
    assert sum(frame["total_s"] for frame in made["frames"][1:]) >= 0.8 * summary["wall_s"]


def test_frames_that_wait_say_how_old_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Dropping the oldest, what is left waits in the queue, and its total counts it."""
    np.savez(tmp_path / "many.npz", images=np.zeros((300, 28, 28), np.uint8))
    options = [
        "--model",
        "mnist",
        "--cloud",
        "none",
        "--when-behind",
        "drop-oldest",
        "--input",
        str(tmp_path / "many.npz"),
    ]
    made = report_of(options, capsys)
    for frame in made["frames"]:
        parts = ("read_s", "waited_s", "prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s")
        assert frame["total_s"] == pytest.approx(sum(frame[part] for part in parts))
    assert max(frame["waited_s"] for frame in made["frames"]) > 0
