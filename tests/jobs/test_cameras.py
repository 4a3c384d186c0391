"""edge-run with cameras by their address, as a process: SIGTERM, losses, and passwords that appear nowhere."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.support.cameras import PASSWORD, USER, http_camera, rtsp_camera
from tests.support.processes import program

SECRET = quote(PASSWORD, safe="")
pytestmark = pytest.mark.slow


def started(url: str, *more: str) -> "subprocess.Popen[str]":
    """edge-run on the device alone."""
    command = [program("edge-run"), "--model", "mnist", "--cloud", "none", "--input", url, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Until it holds."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Code, output and errors after SIGTERM."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    for secret in (PASSWORD, SECRET, "hunter2"):
        assert secret not in out + err
    return process.returncode, out, err


def test_a_camera_over_http_ends_on_sigterm_and_its_password_is_nowhere(tmp_path: Path) -> None:
    """Not in the lines, the JSON, the errors, nor in the list of processes."""
    with http_camera() as camera:
        camera.auth = "digest"
        place = f"127.0.0.1:{camera.port}/mjpeg"
        report = tmp_path / "run.json"
        process = started(f"http://{USER}:{SECRET}@{place}?token=hunter2&channel=1", "--json", str(report))
        wait(lambda: camera.sent > 5)
        time.sleep(3)
        listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert f"http://***@{place}?token=***&channel=1[0]" in out
    assert b"hunter2" not in listed
    assert SECRET.encode() not in listed
    text = report.read_text()
    assert SECRET not in text
    assert "hunter2" not in text
    assert [frame["id"] for frame in json.loads(text)["frames"]] == list(range(len(json.loads(text)["frames"])))


def test_a_service_waits_for_its_camera_and_ends_while_that_stalls(tmp_path: Path) -> None:
    """The camera starts later than the device, is lost, and stalls when SIGTERM comes: code 0, no crash."""
    pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'partway[video]'")
    with rtsp_camera() as camera:
        port = camera.port
    results = tmp_path / "results.json"
    process = started(f"rtsp://{USER}:{SECRET}@127.0.0.1:{port}/live", "--service", "--json", str(results))
    wait(lambda: results.exists() and "ready" in results.read_text())
    with rtsp_camera(port=port) as camera:
        wait(lambda: results.read_text().count("\n") > 10)
        camera.mode = "drop"
        time.sleep(0.5)
        before, camera.mode = results.read_text().count("\n"), "run"
        wait(lambda: results.read_text().count("\n") > before + 10)
        camera.mode = "stall"
        time.sleep(0.5)
        code, _, err = ended(process)
    assert code == 0, err
    assert "; waiting for it" in err
    assert " is lost after " in err
    assert err.count(" answers after ") == 2
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert lines[-1]["event"] == "ended"
    assert [line["id"] for line in lines[1:-1]] == list(range(len(lines) - 2))


def test_a_camera_that_is_off_ends_a_run_with_a_sentence() -> None:
    """Code 2."""
    with http_camera() as camera:
        port = camera.port
    process = started(f"http://{USER}:hunter2@127.0.0.1:{port}/mjpeg")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith(f"edge-run: camera http://***@127.0.0.1:{port}/mjpeg cannot be reached (")
    assert err.count("\n") == 1
    assert "hunter2" not in out + err
