"""The main job as a user has it: real processes, real digits, and everything that can go wrong at the command line."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from tests.conftest import ROOT, RealCloud, beside_changes

from partway.partitioner.plan.pictures.mnist_digit import digit_from_image
from partway.partitioner.plan.plan_file import load_plan, save_plan
from partway.partitioner.zoo import model_folder, sample_folder

EdgeRun = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = [sys.executable, "-m", "partway.edge"]
MNIST = model_folder("mnist")
SCHEMA = json.loads((ROOT / "docs" / "edge-run.schema.json").read_text(encoding="utf-8"))
LONG_S = 60.0
"""Far longer than anything here takes: only a test that fails waits for it."""


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The shipped sample digits as pixels in one file, and what they show."""
    samples = sample_folder(MNIST)
    assert samples is not None
    files = sorted(samples.glob("*.png"))
    images = []
    for file in files:
        with Image.open(file) as picture:
            images.append(digit_from_image(picture))
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, images=np.stack(images))
    return path, [file.name[0] for file in files]


@contextmanager
def edge_process(*options: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """edge-run as a process that hears Ctrl-C even where the tests themselves run in the background."""
    process = subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **more,
    )
    try:
        with process:
            yield process
    finally:
        process.kill()


def embedded_pid(process: subprocess.Popen[str]) -> int:
    """Process id of the embedded cloud, as the header tells it."""
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"embedded: started on this machine, process (\d+)", line)
        if found:
            return int(found[1])
    raise AssertionError(process.stderr.read() if process.stderr else "")


def until_first_frame(process: subprocess.Popen[str]) -> str:
    """The first line of a frame."""
    assert process.stdout is not None
    return next(line for line in process.stdout if " ms" in line and (" cloud " in line or " device " in line))


@contextmanager
def end_of(pid: int) -> Iterator[Callable[[], bool]]:
    """Whether a process, one that need not be our child, ends within LONG_S."""
    descriptor = os.pidfd_open(pid)
    try:
        yield lambda: bool(select.select([descriptor], [], [], LONG_S)[0])
    finally:
        os.close(descriptor)


def test_the_first_run_answers_every_sample_rightly(edge_run: EdgeRun) -> None:
    """edge-run --model mnist --split 1 starts a cloud and reads every shipped digit right through it."""
    done = edge_run("--model", "mnist", "--split", "1", "--cloud", "embedded")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if re.match(r"\d-.*\.png", line)]
    assert len(lines) >= 20
    for line in lines:
        name, label, *_, where, _, unit = line.split()
        assert (name[0], where, unit) == (label, "cloud", "ms")
    for text in (
        "  model  mnist",
        " engine  onnx",
        "   link  ",
        "candidates (ms per frame)",
        "-> split 1",
        "try next:",
    ):
        assert text in done.stdout
    assert "\x1b" not in done.stdout


def test_auto_decides_by_measurement(edge_run: EdgeRun, digits: tuple[Path, list[str]]) -> None:
    """The plain command finds or starts a cloud, measures, chooses with a reason, and its JSON is as documented."""
    path, labels = digits
    done = edge_run("--model", "mnist", "--split", "auto", "--input", str(path), "--json", "-")
    assert (done.returncode, beside_changes(done.stderr)) == (0, "")
    made = json.loads(done.stdout)
    jsonschema.validate(made, SCHEMA, jsonschema.Draft202012Validator)
    assert [frame["top"][0]["label"] for frame in made["frames"]] == labels
    measured = [candidate for candidate in made["plan"]["candidates"] if candidate["measured_s"] is not None]
    assert any(0 < candidate["cut"] < 3 for candidate in measured)
    assert made["link"]["measured"] is True


@pytest.mark.slow
def test_the_real_test_set_through_a_split(
    edge_run: EdgeRun, start_cloud: Callable[..., RealCloud], data: Path
) -> None:
    """MNIST's own test images, in groups through another process, are answered like on the device alone."""
    images = next((data / "mnist").glob("t10k-images*"))
    options = ["--model", "mnist", "--input", str(images), "--frames", "2000", "--batch", "20", "--json", "-"]
    answers = []
    for where in (["--cloud", "none"], ["--split", "1", "--cloud", start_cloud().address]):
        made = json.loads(edge_run(*options, *where).stdout)
        assert made["summary"]["answered"] == 2000
        answers.append([frame["top"][0]["index"] for frame in made["frames"]])
    assert answers[0] == answers[1]


def test_a_device_needs_an_address_and_a_name_only(
    edge_run: EdgeRun, start_cloud: Callable[..., RealCloud], tmp_path: Path, digits: tuple[Path, list[str]]
) -> None:
    """Plan and stages come from the cloud; the second run needs no stage file, and a rotten one is fetched again."""
    folder = tmp_path / "models" / "elsewhere"
    shutil.copytree(MNIST, folder)
    plan = load_plan(MNIST)
    plan = replace(plan, model="elsewhere")
    save_plan(plan, folder)
    address, cache = start_cloud("--models", str(tmp_path / "models")).address, tmp_path / "cache"
    path, labels = digits
    options = ["--model", "elsewhere", "--cloud", address, "--cache", str(cache), "--input", str(path), "--json", "-"]

    def run() -> list[str]:
        done = edge_run(*options, "--split", "2")
        assert done.returncode == 0, done.stderr
        return [frame["top"][0]["label"] for frame in json.loads(done.stdout)["frames"]]

    assert run() == labels
    assert {file.name for file in cache.iterdir()} == {stage.digest for stage in plan.stages}
    for stage in plan.stages:
        (folder / stage.file).rename(folder / f"{stage.file}.away")
    assert run() == labels
    for stage in plan.stages:
        (folder / f"{stage.file}.away").rename(folder / stage.file)
    (cache / plan.stages[0].digest).write_bytes(b"rotten")
    done = edge_run(*options)
    assert done.returncode == 0
    assert "is damaged; fetching it again" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "mnits"], "unknown model 'mnits'; did you mean mnist? known models: mnist"),
        (["--split", "7"], "split 7 is out of range; mnist has splits 0 (all in the cloud) to 3 (all on the device)"),
        (["--split", "rellu3"], "no cut is called 'rellu3'; did you mean relu3?"),
        (["--split", "1"], "split 1 needs a cloud; leave out --cloud none"),
        (["--input", "EMPTY"], "holds no pictures"),
        (["--codec", "zip"], "unknown codec 'zip'"),
        (["--bandwidth", "2"], "for example 2Mbps"),
        (["--json", "/nowhere/at/all.json"], "--json /nowhere/at/all.json cannot be written"),
        (["--cache", "/dev/null/cache"], "cache folder /dev/null/cache cannot be written"),
        (["--cloud", "my cloud"], "cloud address 'my cloud' is not HOST:PORT"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    options: list[str], says: str, edge_run: EdgeRun, tmp_path: Path
) -> None:
    """Nothing on standard output, one line that says what to do on standard error, never a traceback."""
    options = [str(tmp_path) if option == "EMPTY" else option for option in options]
    model = [] if "--model" in options else ["--model", "mnist"]
    done = edge_run(*model, "--cloud", "none", *options)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-run: ")
    assert says in line


def test_a_damaged_picture_costs_only_itself(edge_run: EdgeRun, tmp_path: Path) -> None:
    """Of four pictures two cannot be read: the others are answered, both are named, exit code 2."""
    samples = sorted(Path(str(sample_folder(MNIST))).glob("*.png"))
    for name, sample in zip(("a.png", "d.png"), samples, strict=False):
        shutil.copy(sample, tmp_path / name)
    (tmp_path / "b.png").write_bytes(samples[0].read_bytes()[:150])
    (tmp_path / "c.png").write_text("no picture")
    done = edge_run("--model", "mnist", "--cloud", "none", "--input", str(tmp_path))
    assert done.returncode == 2
    assert [line.split(" cannot be read")[0].rsplit("/", 1)[-1] for line in done.stderr.splitlines()] == [
        "b.png",
        "c.png",
    ]
    assert "2 frames answered" in done.stdout


def test_a_name_that_is_no_text_is_printed_somehow(edge_run: EdgeRun, tmp_path: Path) -> None:
    """A file name that is no UTF-8 does not cost the answer."""
    sample = next(Path(str(sample_folder(MNIST))).glob("*.png"))
    shutil.copy(os.fsencode(sample), os.fsencode(tmp_path) + b"/\xff.png")
    done = edge_run("--model", "mnist", "--cloud", "none", "--input", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xff.png" in done.stdout


def test_an_unusable_default_cache_is_no_reason_to_stop(
    start_cloud: Callable[..., RealCloud], tmp_path: Path, digits: tuple[Path, list[str]]
) -> None:
    """With a read-only home the stages are fetched and kept in memory."""
    folder = tmp_path / "models" / "elsewhere"
    shutil.copytree(MNIST, folder)
    plan = load_plan(MNIST)
    plan = replace(plan, model="elsewhere")
    save_plan(plan, folder)
    address = start_cloud("--models", str(tmp_path / "models")).address
    command = [*COMMAND, "--model", "elsewhere", "--cloud", address, "--input", str(digits[0])]
    environment = {**os.environ, "XDG_CACHE_HOME": "/dev/null"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONG_S, check=False)
    assert done.returncode == 0
    assert "kept in memory only" in done.stderr


def test_a_cloud_that_does_not_answer_is_told_in_time(edge_run: EdgeRun) -> None:
    """A port where something else listens: the sentence names address, time and what was seen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = edge_run("--model", "mnist", "--cloud", address, "--timeout", "200ms")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no cloud answers at {address} (tried gRPC for 0.2 s: something listens there" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_another_version_of_the_model_is_refused(
    edge_run: EdgeRun, start_cloud: Callable[..., RealCloud], tmp_path: Path
) -> None:
    """A cloud with the same name and another plan is refused before a frame is sent."""
    shutil.copytree(MNIST, tmp_path / "mnist")
    plan = load_plan(MNIST)
    plan = replace(plan, output={**plan.output, "labels": list("abcdefghij")})
    save_plan(plan, tmp_path / "mnist")
    done = edge_run("--model", "mnist", "--cloud", start_cloud("--models", str(tmp_path)).address)
    assert done.returncode == 2
    assert "has another version of mnist" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_tells_what_was_answered_and_ends_the_cloud(digits: tuple[Path, list[str]]) -> None:
    """Interrupted in the middle: summary, exit code 130, no traceback, and the embedded cloud is gone."""
    options = ["--model", "mnist", "--cloud", "embedded", "--split", "1", "--frames", "10000000"]
    with edge_process(*options, "--input", str(digits[0])) as process, end_of(embedded_pid(process)) as ended:
        until_first_frame(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONG_S)
        assert process.returncode == 130
        assert err == ""
        assert re.search(r"\d+ frames answered \(\d+ by the cloud\)", out)
        assert "interrupted; the frames above are the ones that were answered" in out
        assert ended()


def test_the_embedded_cloud_survives_no_crash(digits: tuple[Path, list[str]]) -> None:
    """edge-run is killed without a chance to clean up, and its cloud ends all the same."""
    options = ["--model", "mnist", "--cloud", "embedded", "--split", "1", "--frames", "10000000"]
    with edge_process(*options, "--input", str(digits[0])) as process, end_of(embedded_pid(process)) as ended:
        until_first_frame(process)
        process.kill()
        assert ended()


def test_the_embedded_cloud_ends_with_the_run(digits: tuple[Path, list[str]]) -> None:
    """After an ordinary run nothing is left behind."""
    options = ["--model", "mnist", "--cloud", "embedded", "--split", "1", "--input", str(digits[0])]
    with edge_process(*options) as process, end_of(embedded_pid(process)) as ended:
        process.communicate(timeout=LONG_S)
        assert process.returncode == 0
        assert ended()


def test_a_cloud_killed_in_the_middle_costs_no_frame(digits: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Every frame is answered once, in order and rightly: the first by the cloud, the last by the device."""
    path, labels = digits
    count, report = 6000, tmp_path / "out.json"
    options = ["--model", "mnist", "--cloud", "embedded", "--split", "1", "--frames", str(count), "--json", str(report)]
    with edge_process(*options, "--input", str(path)) as process:
        pid = embedded_pid(process)
        assert " cloud " in until_first_frame(process)
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=LONG_S)
        assert process.returncode == 0, err
    assert "is lost" in err
    assert "continuing on the device" in err
    made = json.loads(report.read_text())
    jsonschema.validate(made, SCHEMA, jsonschema.Draft202012Validator)
    frames = made["frames"]
    assert [frame["id"] for frame in frames] == list(range(count))
    assert [frame["top"][0]["label"] for frame in frames] == [labels[index % len(labels)] for index in range(count)]
    assert (frames[0]["answered_by"], frames[-1]["answered_by"]) == ("cloud", "device")


@pytest.mark.parametrize("extra", [[], ["--json", "-"]])
def test_a_reader_that_goes_away_causes_no_traceback(extra: list[str], digits: tuple[Path, list[str]]) -> None:
    """As in `edge-run … | head -1`: the run ends quietly."""
    options = ["--model", "mnist", "--cloud", "none", "--input", str(digits[0]), "--frames", "5000", *extra]
    with edge_process(*options) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(LONG_S) != 0
    assert err == ""


def test_a_terminal_shows_a_progress_bar(digits: tuple[Path, list[str]]) -> None:
    """On a terminal colours and a moving bar that knows the total; the lines and the summary are the same."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    command = [*COMMAND, "--model", "mnist", "--cloud", "none", "--input", str(digits[0]), "--frames", "3000"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    seen = bytearray()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that nobody has the other end open any more
                break
            if not piece:
                break
            seen += piece
    os.close(ours)
    text = seen.decode()
    assert process.returncode == 0
    assert re.search(r"\d+/3000", text)
    assert "\x1b[" in text
    assert text.count("digits.npz[") == 3000
    assert "3000 frames answered" in text


def _multicast_works() -> str:
    """Empty where an announcement made here is heard here, else why not."""
    from zeroconf import ServiceBrowser, ServiceInfo, Zeroconf

    heard = threading.Event()
    kind, name = "_partway-test._tcp.local.", f"test-{os.getpid()}._partway-test._tcp.local."
    try:
        with Zeroconf() as speaker, Zeroconf() as listener:
            speaker.register_service(ServiceInfo(kind, name, 9, parsed_addresses=["127.0.0.1"]))
            ServiceBrowser(listener, kind, handlers=[lambda **_: heard.set()])
            return "" if heard.wait(5.0) else "multicast goes nowhere on this network"
    except OSError as error:
        return f"no multicast on this machine: {error}"


def test_a_cloud_on_the_network_is_found_without_an_address(edge_run: EdgeRun, digits: tuple[Path, list[str]]) -> None:
    """cloud-serve on all interfaces announces itself, and edge-run --cloud auto uses it instead of an embedded one."""
    silent = _multicast_works()
    if silent:
        pytest.skip(silent)
    command = [sys.executable, "-m", "partway.cloud", "--host", "0.0.0.0", "--insecure", "--grpc-port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cloud:
        try:
            assert cloud.stdout is not None
            json.loads(cloud.stdout.readline())
            until_s = monotonic() + 60
            while monotonic() < until_s:  # edge-run listens for a second, too short for a busy machine's answer
                done = edge_run("--model", "mnist", "--cloud", "auto", "--split", "1", "--input", str(digits[0]))
                if "(found by zeroconf)" in done.stdout:
                    break
        finally:
            cloud.kill()
    assert (done.returncode, done.stderr) == (0, "")
    assert "(found by zeroconf)" in done.stdout
    assert "embedded" not in done.stdout
