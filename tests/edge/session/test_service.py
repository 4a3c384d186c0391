"""edge-run --service: pictures as they come, a line each, systemd told, SIGTERM loses nothing."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from partway.edge.session.health import Liveness
from partway.edge.session.service import Journal
from partway.edge.sources.files import Sample
from partway.edge.sources.open_inputs import open_inputs
from partway.edge.sources.watch import watch_items
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.system.systemd import notify, watchdog_s

PLAN = load_plan(model_folder("mnist"))
SAMPLES = sorted((model_folder("mnist") / "samples").glob("*.png"))


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The end that systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(30.0)
        yield end


def started(tmp_path: Path, *options: str, **environment: str) -> "subprocess.Popen[str]":
    (tmp_path / "inbox").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "partway.edge", "--model", "mnist", "--service", "--threads", "1", *options]
    env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), **environment}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env)


def line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def until(end: socket.socket, word: str) -> str:
    while True:
        said = end.recv(4096).decode()
        if word in said:
            return said


def test_a_service_answers_pictures_as_they_come_and_ends_on_sigterm(tmp_path: Path, systemd: socket.socket) -> None:
    """READY before the first picture, WATCHDOG while it waits, a line a picture, those in flight answered, code 0."""
    watching = ("--cloud", "none", "--json", "-", "--input", f"watch:{tmp_path}/inbox")
    with started(tmp_path, *watching, WATCHDOG_USEC="400000") as process:
        until(systemd, "READY=1")
        assert line(process)["event"] == "ready"
        until(systemd, "WATCHDOG=1")
        for sample in SAMPLES[:3]:
            shutil.copyfile(sample, tmp_path / "inbox" / sample.name)
        (tmp_path / "inbox" / "broken.png").write_text("no picture")
        answered = [line(process) for _ in range(3)]
        assert sorted(frame["name"] for frame in answered) == [sample.name for sample in SAMPLES[:3]]
        assert {frame["answered_by"] for frame in answered} == {"device"}
        until(systemd, "STATUS=3 frames answered")
        assert process.stderr is not None
        assert "broken.png cannot be read" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        until(systemd, "STOPPING=1")
        assert line(process) == {"event": "ended", "taken": 3, "answered": 3, "unanswered": 0}
        assert process.wait(20) == 0


def test_a_service_saves_drawn_pictures_and_outputs(tmp_path: Path, systemd: socket.socket) -> None:
    """Named in each line by the time the service began; all are written when it has ended."""
    folders = ("--save-pictures", str(tmp_path / "drawn"), "--save-outputs", str(tmp_path / "outputs"))
    watching = ("--cloud", "none", "--json", "-", "--input", f"watch:{tmp_path}/inbox", *folders)
    with started(tmp_path, *watching) as process:
        until(systemd, "READY=1")
        assert line(process)["event"] == "ready"
        for sample in SAMPLES[:2]:
            shutil.copyfile(sample, tmp_path / "inbox" / sample.name)
        frames = [line(process) for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    for kind, folder in (("picture_file", "drawn"), ("outputs_file", "outputs")):
        files = sorted(str(path) for path in (tmp_path / folder).iterdir())
        assert sorted(frame[kind] for frame in frames) == files
        assert all(re.match(r"\d{8}T\d{6}Z_00000\d_", Path(file).name) for file in files)


def test_no_frame_that_was_taken_is_lost_on_sigterm(tmp_path: Path, systemd: socket.socket) -> None:
    """In the midst of an endless input, every id from 0 on is answered once."""
    feeding = ("--cloud", "none", "--json", str(tmp_path / "lines"), "--input", "-", "--stdin-shape", "28x28x1")
    command = [sys.executable, "-m", "partway.edge", "--model", "mnist", "--service", "--threads", "1", *feeding]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False) as process:
        assert process.stdin is not None
        sent = 0
        while not (tmp_path / "lines").exists() or (tmp_path / "lines").read_text().count("\n") < 50:
            process.stdin.write(bytes(28 * 28))
            process.stdin.flush()
            sent += 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        with suppress(BrokenPipeError):
            process.stdin.close()
    ready, *frames, ended = map(json.loads, (tmp_path / "lines").read_text().splitlines())
    assert ready["event"] == "ready"
    assert [frame["id"] for frame in frames] == list(range(len(frames)))
    assert ended == {"event": "ended", "taken": len(frames), "answered": len(frames), "unanswered": 0}
    assert 50 <= len(frames) <= sent


def test_sigterm_before_frames_flow_is_no_failure(tmp_path: Path, systemd: socket.socket) -> None:
    """While a cloud is waited for that does not answer."""
    watching = ("--cloud", "192.0.2.7:9", "--timeout", "30s", "--input", f"watch:{tmp_path}/inbox")
    with started(tmp_path, *watching) as process:
        until(systemd, "STATUS=opening")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_picture_is_taken_once_it_is_whole_and_again_when_it_changes(tmp_path: Path) -> None:
    """Hidden files are left alone; the oldest comes first."""
    for name in ("b.png", "a.png", ".hidden.png", "note.txt"):
        (tmp_path / name).write_bytes(b"1")
    for age, name in enumerate(("a.png", "b.png")):
        os.utime(tmp_path / name, (1_000 + age, 1_000 + age))
    taken: list[str] = []

    def read(path: Path) -> Sample:
        taken.append(path.name)
        return Sample(path.name)

    items = watch_items(f"watch:{tmp_path}", PLAN, read)
    for _ in range(2):
        assert next(items).read().live
    begun = time.monotonic()
    (tmp_path / "b.png").write_bytes(b"22")
    next(items).read()
    assert time.monotonic() - begun > 0.2
    assert taken == ["a.png", "b.png", "b.png"]


def test_a_folder_that_cannot_be_watched_is_said(tmp_path: Path) -> None:
    """At once, with who and whose."""
    with pytest.raises(InputError, match=rf"watched folder {tmp_path}/none cannot be read .*uid {os.geteuid()}"):
        open_inputs([f"watch:{tmp_path}/none"], PLAN)
    with pytest.raises(InputError, match="never ends"):
        open_inputs([f"watch:{tmp_path}", "a.png"], PLAN)


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No socket, one that is gone, one that is no path: the run goes on."""
    for address in ("", "relative", str(tmp_path / "gone"), "@partway-gone"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert not notify("READY=1")


def test_an_abstract_socket_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """@name, as systemd writes it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0partway-test-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@partway-test-{os.getpid()}")
        assert notify("READY=1", "STATUS=x")
        assert end.recv(100) == b"READY=1\nSTATUS=x"


@pytest.mark.parametrize(
    ("microseconds", "process", "seconds"),
    [("60000000", None, 60.0), ("", None, None), ("many", None, None), ("0", None, None), ("1000000", "1", None)],
)
def test_how_often_systemd_wants_to_hear(
    microseconds: str, process: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In seconds; what is meant for another process, or means nothing, is nothing."""
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if process is not None:
        monkeypatch.setenv("WATCHDOG_PID", process)
    assert watchdog_s() == seconds


def test_the_watchdog_beats_on_after_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that died silently would let systemd kill a service that answers frames. One warning says why."""
    beats, told = [RuntimeError("odd"), RuntimeError("odd"), None], threading.Event()

    def tell(*lines: str) -> bool:
        if lines[0] == "WATCHDOG=1" and beats:
            if (error := beats.pop(0)) is not None:
                raise error
            told.set()
        return True

    monkeypatch.setattr("partway.edge.session.service.notify", tell)
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with Journal(io.StringIO(), True, Liveness()):
        assert told.wait(30)
    assert [record.message for record in caplog.records] == [
        "systemd was not told that this service is alive (RuntimeError('odd')); trying again"
    ]
