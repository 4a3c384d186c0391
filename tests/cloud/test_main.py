"""cloud-serve as a user runs it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import numpy as np
import pytest
from tests.conftest import RealCloud, write_fake_plan
from tests.support.served import PATIENCE_S, Client, outputs, request

import partway
from partway.cloud.main import main
from partway.cloud.server import DRAIN_S

IMAGE = np.zeros((1, 1, 28, 28), np.float32)


def cloud_serve(*options: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run to the end."""
    command = [sys.executable, "-m", "partway.cloud", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


@pytest.fixture
def begin() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start cloud-serve with pipes at both ends; every one started is ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "partway.cloud", *options]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout, process.stderr):
            assert end is not None
            end.close()


def assert_one_sentence(text: str, *words: str) -> None:
    """What a person reads on standard error when a command ends with 2."""
    (line,) = text.strip().splitlines()
    assert line.startswith("cloud-serve: ")
    for word in words:
        assert word in line


def test_cloud_serve_says_when_it_is_ready(begin: Callable[..., "subprocess.Popen[str]"]) -> None:
    """One line on standard output, with models and address; then it serves."""
    process = begin("--grpc-port", "0", "--no-advertise", "--threads", "1")
    assert process.stdout is not None
    said = re.fullmatch(
        r"serving mnist, mnist-int8 on 127\.0\.0\.1:(\d+) \(gRPC\); Ctrl-C ends it\n", process.stdout.readline()
    )
    assert said
    with Client(int(said[1])) as client:
        assert outputs(client.infer(request("mnist", {"image": IMAGE})))["logits"].shape == (1, 10)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "")
    assert "serving mnist: 3 stages" in err and "Traceback" not in err


def test_programs_are_told_in_json(begin: Callable[..., "subprocess.Popen[str]"]) -> None:
    """With --json the line is an object with port, models and process, and standard error stays empty."""
    process = begin("--grpc-port", "0", "--no-advertise", "--json")
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    ports = {"grpc_port": said["grpc_port"], "http_port": None, "device": "cpu"}
    assert said == ports | {"models": ["mnist", "mnist-int8"], "pid": process.pid}
    process.terminate()
    assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0


def test_frames_in_flight_are_answered_before_it_ends(start_cloud: Callable[..., RealCloud], tmp_path: Path) -> None:
    """SIGTERM while frames wait: each is answered, then the process ends with 0."""
    cloud = start_cloud("--models", str(write_fake_plan(tmp_path / "slow", stage_s=0.05, name="slow")))
    with Client(cloud.port) as client:
        stream = client.open()
        for i in range(8):
            stream.send(request("slow", {"x": np.zeros((1, 64), np.float32)}, str(i)).SerializeToString())
        replies = [stream.read()]
        cloud.process.terminate()
        replies += stream.rest()
    assert [(reply.infer_response.id, reply.error_message) for reply in replies] == [(str(i), "") for i in range(8)]
    assert cloud.process.wait(PATIENCE_S) == 0


def test_an_open_stream_does_not_hold_a_cloud_up_that_leaves(
    start_cloud: Callable[..., RealCloud], tmp_path: Path
) -> None:
    """SIGTERM while a device streams: what it sent is answered, then its stream ends, and not when time is up."""
    cloud = start_cloud("--models", str(write_fake_plan(tmp_path / "slow", stage_s=0.05, name="slow")))
    with Client(cloud.port) as client:
        stream = client.open()
        for i in range(8):
            stream.send(request("slow", {"x": np.zeros((1, 64), np.float32)}, str(i)).SerializeToString())
        replies = [stream.read()]
        begun_s = perf_counter()
        cloud.process.terminate()
        replies += [stream.read() for _ in range(7)]
        with pytest.raises(grpc.RpcError) as ended:
            stream.read()
        assert cloud.process.wait(PATIENCE_S) == 0
        took_s = perf_counter() - begun_s
    assert [(reply.infer_response.id, reply.error_message) for reply in replies] == [(str(i), "") for i in range(8)]
    assert (ended.value.code(), ended.value.details()) == (grpc.StatusCode.UNAVAILABLE, "it is leaving")
    assert took_s < DRAIN_S, "it waited for the device as long as it waits for anything"


def test_it_ends_when_its_parent_does(begin: Callable[..., "subprocess.Popen[str]"]) -> None:
    """With --until-stdin-closes, what comes in does not matter; the end of it ends the process with 0."""
    process = begin("--grpc-port", "0", "--json", "--no-advertise", "--until-stdin-closes")
    assert process.stdout is not None and process.stdin is not None
    process.stdin.write("hello\n")
    process.stdin.flush()
    port = json.loads(process.stdout.readline())["grpc_port"]
    with Client(port) as client:
        assert client.call("ServerLive")
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 0


@contextlib.contextmanager
def stdin(descriptor: int) -> Iterator[None]:
    """Another standard input for this process."""
    kept = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_whole_life_ends_well(capfd: pytest.CaptureFixture[str], fake_plan: Path) -> None:
    """Started without a parent it says that it is ready and ends with 0."""
    end, parent = os.pipe()
    os.close(parent)
    with stdin(end):
        code = main(["--models", str(fake_plan), "--grpc-port", "0", "--until-stdin-closes", "--host", "127.0.0.1"])
    os.close(end)
    assert code == 0
    assert capfd.readouterr().out.startswith("serving fake on 127.0.0.1:")


def test_standard_input_must_be_able_to_close(capfd: pytest.CaptureFixture[str], fake_plan: Path) -> None:
    """A file or /dev/null as standard input has no end to wait for, and that is said."""
    with Path(os.devnull).open("rb") as nothing, stdin(nothing.fileno()):
        assert main(["--models", str(fake_plan), "--grpc-port", "0", "--until-stdin-closes", "--json"]) == 2
    assert_one_sentence(capfd.readouterr().err, "--until-stdin-closes needs a pipe")


def test_a_port_that_is_taken_is_named(fake_plan: Path) -> None:
    """Exit code 2 and one sentence on standard error, nothing on standard output."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = cloud_serve("--models", str(fake_plan), "--grpc-port", port, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_sentence(done.stderr, f"port {port} on 127.0.0.1 is taken", "--grpc-port")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--grpc-port", "-1"], "port -1 is out of range; choose 0 to 65535"),
        (["--grpc-port", "65536"], "port 65536 is out of range"),
        (["--threads", "-1"], "--threads must be 0 (all cores) to 1024"),
        (["--threads", "1000000"], "--threads must be"),
        (["--models", "/no/such/folder"], "models folder /no/such/folder cannot be read"),
    ],
)
def test_options_that_cannot_be_are_refused(options: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one sentence that says what can."""
    assert main(options) == 2
    assert_one_sentence(capfd.readouterr().err, words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--grpc-port", "http"], "argument --grpc-port: invalid int value: 'http'"),
        (["--thread"], "unknown option --thread; did you mean --threads?"),
        (["model"], "unexpected argument 'model'"),
    ],
)
def test_usage_errors_are_one_sentence(options: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, as of any command."""
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2
    assert_one_sentence(capfd.readouterr().err, words)


def test_the_version_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """--version prints it and ends with 0."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capfd.readouterr().out) == (0, f"partway {partway.__version__}\n")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """The sentence says how to put a model there."""
    done = cloud_serve("--models", str(tmp_path), "--grpc-port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_sentence(done.stderr, f"no plan in {tmp_path}", "partway plan MODEL --out DIR")


def test_a_damaged_model_among_good_ones_is_left_out(
    begin: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """The good ones are served; the damaged one is reported with the file at fault."""
    for name in ("one", "two", "bad"):
        write_fake_plan(tmp_path / name, name=name)
    (tmp_path / "bad" / "stage1.json").write_bytes(b"corrupted")
    process = begin("--models", str(tmp_path), "--grpc-port", "0", "--no-advertise", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["models"] == ["one", "two"]
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE_S)
    (line,) = err.strip().splitlines()
    assert line.startswith("not serving bad: stage file ") and "stage1.json is not the one the plan names" in line


def test_a_corrupted_stage_alone_is_refused(fake_plan: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With nothing left to serve, its fault is the command's."""
    (fake_plan / "stage2.json").write_bytes(b"corrupted")
    assert main(["--models", str(fake_plan), "--grpc-port", "0", "--no-advertise"]) == 2
    assert "stage2.json is not the one the plan names" in capfd.readouterr().err


def test_ctrl_c_while_loading_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted before it serves, it ends as shells expect."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("partway.cloud.main.load_repository", interrupted)
    assert main([]) == 130


def test_the_module_is_the_command() -> None:
    """``python -m partway.cloud`` is cloud-serve."""
    done = cloud_serve("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: cloud-serve")


def test_it_serves_though_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch, fake_plan: Path) -> None:
    """An address others can reach is announced and taken back at the end."""
    calls: list[str] = []

    class Advert:
        async def stop(self) -> None:
            calls.append("stopped")

    async def advertise(host: str, port: int, models: dict[str, str], tls: bool) -> Advert:
        calls.append(f"{host} {sorted(models)} {port > 0} {tls}")
        return Advert()

    monkeypatch.setattr("partway.cloud.advertise.advertise", advertise)
    end, parent = os.pipe()
    os.close(parent)
    with stdin(end):
        assert main(["--models", str(fake_plan), "--grpc-port", "0", "--until-stdin-closes"]) == 0
    os.close(end)
    assert calls == ["127.0.0.1 ['fake'] True False", "stopped"]
