"""Each image by itself, natively: read-only, without a capability, ended by a signal, refused a folder."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path
from threading import Timer
from time import monotonic

import pytest
from tests.containers.podman import podman

HARD = ("--rm", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")


@pytest.mark.parametrize("image", ["edge:onnx", "edge:litert"])
def test_a_device_needs_no_writable_file_and_no_right(image):
    """Thirty digits are read, the embedded cloud included, on a root that nobody can write to."""
    done = podman("run", *HARD, "--network=none", f"localhost/partway-{image}", "--model", "mnist", "--split", "1")
    assert "30 frames answered (30 by the cloud)" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("image", ["edge:onnx", "edge:litert"])
def test_sigterm_ends_a_device_soon_and_every_frame_it_took_is_answered(image):
    """Frames from a pipe that stays open: after SIGTERM the summary counts them all, in under five seconds."""
    command = ["podman", "run", "-i", "--name", "partway-sigterm", *HARD, "--network=none"]
    asked = ["--model", "mnist", "--split", "1", "--cloud", "embedded", "--input", "-", "--stdin-shape", "28x28"]
    process = subprocess.Popen(
        [*command, f"localhost/partway-{image}", *asked], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    )
    limit = Timer(60, lambda: podman("kill", "--signal", "KILL", "partway-sigterm", check=False))
    limit.start()
    try:
        process.stdin.write(b"".join(bytes([index % 256]) * 784 for index in range(100)))
        process.stdin.flush()
        seen = 0
        while seen < 50:
            line = process.stdout.readline()
            assert line, f"it ended after {seen} lines, or took too long"
            seen += b"stdin[" in line
        begun_s = monotonic()
        podman("kill", "--signal", "TERM", "partway-sigterm")
        rest = process.stdout.read().decode()
        assert process.wait(20) == 0
        assert monotonic() - begun_s < 5.0
        answered = int(re.search(r"(\d+) frames answered", rest)[1])
        assert answered == seen + rest.count("stdin[") == 100
    finally:
        limit.cancel()
        podman("rm", "-f", "-t", "1", "partway-sigterm", check=False)
        process.stdin.close()
        process.stdout.close()


def test_a_cloud_beyond_loopback_without_a_token_says_what_to_do():
    """The image listens on all interfaces, so it wants a token or --insecure."""
    done = podman("run", *HARD, "--network=none", "localhost/partway-cloud:cpu", check=False)
    assert done.returncode == 2
    assert "--insecure" in done.stderr and "--token-file" in done.stderr


def test_a_volume_that_may_not_be_read_is_named_with_uid_path_and_mode(tmp_path: Path):
    """Root's folder of mode 0700 cannot be read by uid 10001: the sentence has all three."""
    folder = tmp_path / "models"
    folder.mkdir(mode=0o700)
    done = podman(
        "run", *HARD, "--network=none", "-v", f"{folder}:/models:ro", "localhost/partway-cloud:cpu", "--insecure",
        "--models", "/models", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("cloud-serve: ")]
    assert all(part in sentence for part in ("/models", "uid 10001", "mode 0700", "permission denied"))


def test_a_cache_volume_that_may_not_be_written_is_named_too(tmp_path: Path):
    """The same for a folder that was asked for and is not the device's to write."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    done = podman(
        "run", *HARD, "--network=none", "-v", f"{folder}:/kept", "localhost/partway-edge:onnx", "--model", "mnist",
        "--cloud", "none", "--cache", "/kept", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert all(part in done.stderr for part in ("/kept", "uid 10001", "mode 0755"))


DATA = Path(os.environ.get("PARTWAY_DATA", Path(__file__).resolve().parents[3] / "shared/data")) / "mnist"


def first(count: int, path: Path) -> bytes:
    """The IDX file of the first ``count`` digits or labels of one."""
    data = gzip.decompress(path.read_bytes())
    start, many, each = 4 + 4 * data[3], int.from_bytes(data[4:8], "big"), 1
    for at in range(8, start, 4):
        each *= int.from_bytes(data[at : at + 4], "big")
    assert many > count
    return data[:4] + count.to_bytes(4, "big") + data[8 : start + count * each]


@pytest.mark.skipif(not DATA.is_dir(), reason="no MNIST files: set PARTWAY_DATA")
def test_training_prints_its_epochs_and_writes_the_archive_for_its_owner(tmp_path: Path):
    """Two epochs on a tenth of the published data; what they leave belongs to the user that trained."""
    tmp_path.chmod(0o755)
    for file in DATA.glob("*-ubyte.gz"):
        (tmp_path / file.name).write_bytes(gzip.compress(first(6_000 if "train" in file.name else 1_000, file)))
    podman("volume", "rm", "-f", "partway-trained", check=False)
    try:
        asked = ["--data", "/data", "--out", "/out", "--epochs", "2"]
        volumes = ["-v", f"{tmp_path}:/data:ro", "-v", "partway-trained:/out"]
        done = podman("run", *HARD, "--network=none", *volumes, "localhost/partway-train:cpu", *asked, limit_s=300)
        for epoch in (1, 2):
            assert re.search(rf"^epoch {epoch}/2: training loss .* test accuracy \d\d\.\d+%", done.stdout, re.MULTILINE)
        assert re.search(r"^Test set: .* accuracy \d+/1000 \([89]\d\.\d+%\)$", done.stdout, re.MULTILINE), done.stdout
        place = Path(podman("volume", "inspect", "partway-trained", "--format", "{{.Mountpoint}}").stdout.strip())
        assert {path.name for path in place.iterdir()} == {"checkpoint.pt", "mnist.onnx", "training.json"}
        assert all(path.stat().st_uid == path.stat().st_gid == 10001 for path in place.iterdir())
    finally:
        podman("volume", "rm", "-f", "partway-trained", check=False)
