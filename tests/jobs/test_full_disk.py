"""A full disk ends no service and gives no traceback: small file systems in memory, filled to the last byte."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cameras import http_camera
from tests.support.processes import program, write_tiny_model

ON_DEVICE = ("--model", "mnist", "--cloud", "none")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A full file system; ``full`` is the file that fills it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        with (folder / "full").open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; no traceback."""
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def test_a_report_that_has_no_room_is_a_sentence(disk: Path) -> None:
    """The frames are answered and printed; no half object stays behind."""
    done = run(program("edge-run"), *ON_DEVICE, "--frames", "3", "--json", str(disk / "run.json"))
    assert done.returncode == 2
    assert "3 frames answered" in done.stdout
    assert (
        done.stderr
        == f"edge-run: --json {disk}/run.json cannot be written (No space left on device); give another file\n"
    )
    assert not (disk / "run.json").exists()


@pytest.mark.slow
def test_a_run_keeps_the_plan_of_a_model_elsewhere(disk: Path, tmp_path: Path) -> None:
    """Without room in the cache it is kept in memory, for this run, and removed."""
    write_tiny_model(tmp_path / "model.onnx")
    before = set(Path("/dev/shm").glob("partway-*"))
    model = ("--model", str(tmp_path / "model.onnx"))
    for more in (
        ("--cloud", "none"),
        ("--cloud", "embedded", "--split", "cloud"),
        ("--cloud", "none", "--cache", f"{disk}/c"),
    ):
        done = run(program("edge-run"), *model, *more, XDG_CACHE_HOME=str(disk))
        assert done.returncode == 0, done.stderr
        assert "cannot be stored in" in done.stderr
        assert "(No space left on device); this run keeps it in " in done.stderr
    assert set(Path("/dev/shm").glob("partway-*")) <= before


@pytest.mark.slow
def test_every_command_that_writes_says_that_there_is_no_room(disk: Path, tmp_path: Path) -> None:
    """Slices, plans, and tables on a standard output that is a file."""
    write_tiny_model(tmp_path / "model.onnx")
    partway = program("partway")
    for words in (
        ("slice", f"{tmp_path}/model.onnx", "--out", f"{disk}/s"),
        ("plan", f"{tmp_path}/model.onnx", "--out", f"{disk}/p"),
    ):
        done = run(partway, *words)
        assert done.returncode in (1, 2)
        assert "No space left on device" in done.stderr
        assert len([line for line in done.stderr.splitlines() if "no cut of this model" not in line]) == 1
    with (disk / "out").open("w") as out:
        ended = subprocess.run([partway, "models"], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_service_answers_on_and_writes_again_once_there_is_room(disk: Path) -> None:
    """Its own lines, its log and its standard output are on the full disk. Lines are whole or absent."""
    results = disk / "results.json"
    with http_camera() as camera, (disk / "out").open("w") as out, (disk / "log").open("w") as log:
        camera.every_s = 0.01
        url = f"http://127.0.0.1:{camera.port}/mjpeg"
        command = [program("edge-run"), *ON_DEVICE, "--input", url, "--service", "--json", str(results)]
        process = subprocess.Popen(command, stdout=out, stderr=log)
        _wait_for(lambda: camera.sent > 50)
        time.sleep(5)
        assert process.poll() is None
        (disk / "full").unlink()
        _wait_for(lambda: results.read_text().count("\n") > 50)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert lines[-1]["event"] == "ended"
    assert lines[-1]["unanswered"] == 0
    ids = [line["id"] for line in lines if "id" in line]
    assert ids == sorted(set(ids))
    assert lines[-1]["answered"] > len(ids)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [">/dev/full", ">&-", "2>/dev/full", "2>&-", "<&-", ">/dev/full 2>&1"])
def test_a_cloud_serves_on_without_its_streams(streams: str) -> None:
    """It starts, and ends on SIGTERM with code 0."""
    command = f"exec {program('cloud-serve')} --grpc-port 0 --http-port 0 --no-advertise {streams}"
    process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(8)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in err


def _wait_for(condition) -> None:  # type: ignore[no-untyped-def]
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)
