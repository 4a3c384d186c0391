"""What a session does to its process: nothing to signals, logging and environment; what forked processes are told."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import RealCloud

SIGNALS = """
import gc, logging, os, signal
import numpy as np
from partway.edge import Session

def state():
    names = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}  # the engine's own
    return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), names, gc.get_freeze_count()

received = []
signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
before = state()
with Session("mnist", cloud="embedded", split="cloud", threads=1) as session:
    assert session.infer(np.zeros((28, 28), np.uint8)).answered_by == "cloud"
    assert state() == before
    os.kill(os.getpid(), signal.SIGTERM)
assert received == [signal.SIGTERM], received
assert state() == before
assert not logging.getLogger().handlers and not logging.getLogger("partway").handlers
print("untouched")
"""

FORKS = """
import multiprocessing, sys, warnings
import numpy as np
from partway.edge import Session

warnings.simplefilter("ignore")  # Python 3.12 warns of any fork in a process with threads
picture = np.zeros((28, 28), np.uint8)

def told(name, work):
    def child(say):
        try:
            say.send(f"{name}: {work()}")
        except RuntimeError as error:
            say.send(f"{name}: RuntimeError {error}")
    listen, say = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(say,))
    process.start()
    print(listen.recv() if listen.poll(60) else f"{name}: hangs", flush=True)
    process.join(20)
    print(f"{name} ends with", process.exitcode, flush=True)

def own(cloud):
    with Session("mnist", cloud=cloud, split="cloud" if cloud != "none" else "auto", threads=1) as session:
        return session.infer(picture).answered_by

def through(session):
    try:
        return session.infer(picture).answered_by
    finally:
        session.close()

address = sys.argv[1]
told("before", lambda: own(address))
with Session("mnist", cloud=address, split="cloud", threads=1) as session:
    print("parent:", session.infer(picture).answered_by, flush=True)
    told("the parent's", lambda: through(session))
    told("its own", lambda: own(address))
    told("without a cloud", lambda: own("none"))
    print("parent again:", session.infer(picture).answered_by, flush=True)
"""

SPAWN = """
import multiprocessing, sys
import numpy as np
from partway.edge import Session

picture = np.zeros((28, 28), np.uint8)

def own(address):
    with Session("mnist", cloud=address, split="cloud", threads=1) as session:
        return session.infer(picture).answered_by

if __name__ == "__main__":
    with Session("mnist", cloud=sys.argv[1], split="cloud", threads=1) as session:
        session.infer(picture)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.map(own, [sys.argv[1]]), session.infer(picture).answered_by)
"""


def _run(program: str, folder: Path, *arguments: str) -> str:
    (folder / "program.py").write_text(program)
    command = [sys.executable, str(folder / "program.py"), *arguments]
    env = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_session_leaves_signals_logging_and_environment_alone(tmp_path: Path) -> None:
    """The program's own SIGTERM handler is called while a session is open, and is still there afterwards."""
    assert _run(SIGNALS, tmp_path) == "untouched\n"


@pytest.fixture
def cloud(start_cloud: Callable[..., RealCloud]) -> RealCloud:
    """cloud-serve in its own process."""
    return start_cloud("--threads", "1")


def test_a_forked_process_answers_or_is_told_why_not(cloud: RealCloud, tmp_path: Path) -> None:
    """No child hangs or crashes, and the parent's session goes on over its stream."""
    lines = _run(FORKS, tmp_path, cloud.address).splitlines()
    assert lines[:3] == ["before: cloud", "before ends with 0", "parent: cloud"]
    assert lines[3].startswith("the parent's: RuntimeError this session belongs to process ")
    assert lines[5].startswith("its own: RuntimeError this process was forked from process ")
    assert "multiprocessing's spawn" in lines[5]
    assert lines[7] == "without a cloud: device"
    assert [lines[index].rpartition(" ")[2] for index in (4, 6, 8)] == ["0", "0", "0"]
    assert lines[9] == "parent again: cloud"


def test_a_spawned_process_has_a_session_of_its_own(cloud: RealCloud, tmp_path: Path) -> None:
    """Both are answered by the cloud."""
    assert _run(SPAWN, tmp_path, cloud.address) == "['cloud'] cloud\n"
