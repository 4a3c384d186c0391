"""gRPC and fork: its fork handlers stay off, and a forked child is told instead of hanging."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from partway.edge.transport import grpc_fork
from partway.edge.transport.grpc_fork import refuse_forked

VARIABLE = "GRPC_ENABLE_FORK_SUPPORT"
FORKED = """
import os
from partway.edge.transport.grpc_fork import refuse_forked

def forked(name):
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        refuse_forked()
        print(name, "may use it", flush=True)
    except RuntimeError as error:
        print(name, error, flush=True)
    os._exit(7)

assert forked("before:") == 7
refuse_forked()
refuse_forked()
assert forked("after:") == 7
print("parent", os.getpid())
"""


def python(code: str, **environment: str) -> str:
    """What a process of its own prints."""
    env = {name: value for name, value in os.environ.items() if name != VARIABLE} | environment
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A folder with a module in gRPC's place, which prints what gRPC would read when it is imported."""
    (tmp_path / "grpc.py").write_text(f"import os\nprint('imported with', os.environ.get({VARIABLE!r}))\n")
    return tmp_path


@pytest.mark.parametrize(("user", "seen", "left"), [({}, "0", "None"), ({VARIABLE: "1"}, "1", "1")])
def test_grpc_is_imported_without_its_fork_handlers(user: dict[str, str], seen: str, left: str, watched: Path) -> None:
    """Unless the user decided; the environment is left as it was."""
    code = f"import os, partway.edge.transport.grpc_fork, grpc; print('left at', os.environ.get({VARIABLE!r}))"
    printed = python(code, PYTHONPATH=str(watched), **user)
    assert printed.splitlines() == [f"imported with {seen}", f"left at {left}"]


def test_the_environment_is_restored_where_grpc_cannot_be_imported(watched: Path) -> None:
    """The error is passed on."""
    (watched / "grpc.py").write_text("raise ImportError('no such library')\n")
    code = (
        "import os\ntry:\n    import partway.edge.transport.grpc_fork\nexcept ImportError as error:\n"
        f"    print(error, os.environ.get({VARIABLE!r}))"
    )
    assert python(code, PYTHONPATH=str(watched)) == "no such library None\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_is_refused_only_if_its_parent_used_grpc() -> None:
    """A child forked before may use it; one forked after is told its parent's number."""
    before, after, parent = python(FORKED).splitlines()
    assert before == "before: may use it"
    assert after.startswith(f"after: this process was forked from process {parent.split()[1]}, which had used a cloud")
    assert "multiprocessing's spawn" in after


def test_the_process_that_used_it_first_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noted once."""
    used_by: list[int] = []
    monkeypatch.setattr(grpc_fork, "_used_by", used_by)
    for _ in range(2):
        refuse_forked()
    assert used_by == [os.getpid()]
