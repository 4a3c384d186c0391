"""scripts/pi-install below a folder: twice, killed in the middle, without network, on a full disk, and away again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "pi-install"
UNIT = "etc/systemd/system/partway-edge.service"
PROGRAM = "import sys\ndef main():\n    print('partway 9.9.{patch}' if '--version' in sys.argv else 'usage')\n"


def wheel(folder: Path, patch: int = 1, needs: str = "") -> Path:
    """A small package with our two commands: what is tested is the installing."""
    path = folder / f"partway_stub-9.9.{patch}-py3-none-any.whl"
    info = f"partway_stub-9.9.{patch}.dist-info"
    needed = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("partway_stub.py", PROGRAM.format(patch=patch))
        made.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: partway-stub\nVersion: 9.9.{patch}\n{needed}")
        made.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        commands = "[console_scripts]\nedge-run = partway_stub:main\npartway = partway_stub:main\n"
        made.writestr(f"{info}/entry_points.txt", commands)
        made.writestr(f"{info}/RECORD", "")
    return path


def command(root: Path, *options: object) -> list[str]:
    return [str(SCRIPT), "--root", str(root), "--python", sys.executable, *map(str, options)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PIP_NO_INDEX": "1", "PARTWAY_NEED_MB": "1", "PIP_CONFIG_FILE": os.devnull, **more}


def install(root: Path, *options: object, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(root, *options), env=environment(**more), capture_output=True, text=True, timeout=120, check=False
    )


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")} if root.exists() else set()


def runs(root: Path) -> str:
    done = subprocess.run([root / "usr/local/bin/edge-run", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_installs_updates_and_goes_away_again(tmp_path: Path) -> None:
    """Twice: the new version is in use, the old one gone, settings kept; uninstalled, only settings are left."""
    root = tmp_path / "root"
    done = install(root, "--from", wheel(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "partway 9.9.1 is installed" in done.stdout
    assert runs(root) == "partway 9.9.1"
    unit = (root / UNIT).read_text()
    assert "ExecStart=/opt/partway/current/bin/edge-run --service $PARTWAY_ARGS" in unit
    settings = root / "etc/partway/edge.env"
    assert settings.stat().st_mode & 0o777 == 0o600
    settings.write_text("PARTWAY_ARGS=--model mine\n")
    assert install(root, "--from", wheel(tmp_path, 2)).returncode == 0
    assert runs(root) == "partway 9.9.2"
    assert settings.read_text() == "PARTWAY_ARGS=--model mine\n"
    assert len(list((root / "opt/partway/versions").iterdir())) == 1
    without_network(root, tmp_path)
    killed_in_the_middle(root, tmp_path)
    assert install(root, "--uninstall").returncode == 0
    left = {name for name in files(root) if (root / name).is_file() or (root / name).is_symlink()}
    assert left == {"etc/partway/edge.env"}
    assert install(root, "--uninstall", "--purge").returncode == 0
    assert not [name for name in files(root) if not (root / name).is_dir()]


def without_network(root: Path, folder: Path) -> None:
    """A package that cannot be fetched: a sentence, and the version that was there stays."""
    kept = files(root)
    done = install(root, "--from", wheel(folder, 3, "no-such-package-of-ours"))
    assert done.returncode == 1
    assert "pi-install: the packages could not be installed; check the network" in done.stderr
    assert "the version that was there stays in use" in done.stderr
    assert (files(root), runs(root)) == (kept, "partway 9.9.2")


def killed_in_the_middle(root: Path, folder: Path) -> None:
    """While pip waits for an index that never answers: SIGTERM leaves nothing, SIGKILL nothing that is in use."""
    kept = files(root)
    with hanging() as port:
        waits = environment(PIP_INDEX_URL=f"http://127.0.0.1:{port}/simple")
        del waits["PIP_NO_INDEX"]
        for number in (signal.SIGTERM, signal.SIGKILL):
            with subprocess.Popen(
                command(root, "--from", wheel(folder, 4, "waits-for-ever")),
                env=waits, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            ) as process:  # fmt: skip
                port.asked.wait(60)
                port.asked.clear()
                if number == signal.SIGTERM:
                    process.send_signal(number)
                    assert process.wait(30) == 143
                    assert files(root) == kept
                else:
                    os.killpg(process.pid, number)
            assert runs(root) == "partway 9.9.2"
    done = install(root, "--from", wheel(folder, 2))
    assert done.returncode == 0, done.stderr
    assert len(list((root / "opt/partway/versions").iterdir())) == 1


class hanging:  # noqa: N801 - reads as what it is
    """An index that takes connections and says nothing."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._thread = threading.Thread(target=self._take, daemon=True)

    def _take(self) -> None:
        while True:
            try:
                self._ends.append(self._server.accept()[0])
            except OSError:
                return
            self.asked.set()

    def __enter__(self) -> "hanging":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
        for end in self._ends:
            end.close()

    def __str__(self) -> str:
        return str(self._server.getsockname()[1])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    tmpfs = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    mounted = subprocess.run(tmpfs, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no right to mount")
    yield disk
    for _ in range(50):
        if subprocess.run(["umount", disk], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)


def test_a_full_disk_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    """Told beforehand, with how much is needed; when it fills up nevertheless, all is as before."""
    done = install(small_disk / "root", "--from", wheel(tmp_path), PARTWAY_NEED_MB="700")
    assert done.returncode == 1
    assert "MB free and about 700 MB are needed; make room, nothing was changed" in done.stderr
    done = install(small_disk / "root", "--from", wheel(tmp_path), PARTWAY_NEED_MB="0")
    assert done.returncode == 1
    assert "nothing was installed" in done.stderr
    assert not [name for name in files(small_disk) if not (small_disk / name).is_dir()]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--form", "x"], "unknown option --form"),
        (["--from"], "--from needs a value"),
        (["--python", "/bin/false"], "is not Python 3.11 or newer"),
    ],
)
def test_what_cannot_be_is_refused(options: list[str], says: str, tmp_path: Path) -> None:
    """In a sentence, before anything is made."""
    done = install(tmp_path / "root", *options)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert not (tmp_path / "root").exists()


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """Verified by systemd itself, and its hardening judged: under 2 of 10."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    made = tmp_path / "partway-edge.service"
    text = (ROOT / "scripts/systemd/partway-edge.service").read_text()
    made.write_text(text.replace("/opt/partway/current/bin/edge-run", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", made], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", made],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_page_is_typed_in_order() -> None:
    """Every shell block of docs/raspberry-pi.md is among what scripts/follow-pi-docs types, none but these."""
    page = (ROOT / "docs/raspberry-pi.md").read_text()
    follow = ROOT / "scripts/follow-pi-docs"
    for part, fence in (("pip", "```sh\n"), ("container", "```sh container\n")):
        blocks = [block.split("```")[0] for block in page.split(fence)[1:]]
        listed = subprocess.run([follow, "--list", "--part", part], capture_output=True, text=True, check=True).stdout
        assert listed.split("\n") == [line for block in blocks for line in block.split("\n") if line] + [""]
        assert listed.count("\n") >= 2
