"""The frame of command lines: standard streams, sentences, exit codes; in processes of their own."""

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from partway.errors import InputError, LinkLost
from partway.system.command import Sentences, print_line, run_command


def test_the_exit_code_is_the_bodys_or_its_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences are on one line, without control characters and passwords."""

    def fails(error: BaseException) -> int:
        raise error

    assert run_command("x", lambda: 7) == 7
    assert run_command("x", lambda: fails(InputError("no\x1b file\nrtsp://u:p@h/"))) == 2
    assert run_command("x", lambda: fails(LinkLost("lost"))) == 1
    assert run_command("x", lambda: fails(KeyboardInterrupt()), "interrupted") == 130
    assert run_command("x", lambda: fails(OSError(errno.ENOSPC, "No space left on device", "a/b"))) == 1
    assert capsys.readouterr().err.splitlines() == [
        r"x: no\x1b file\nrtsp://***@h/",
        "x: lost",
        "x: interrupted",
        "x: a/b cannot be written (No space left on device); make room on its disk and run it again",
    ]
    with pytest.raises(OSError, match="something else"):
        run_command("x", lambda: fails(OSError(errno.EINVAL, "something else")))
    with pytest.raises(SystemExit):
        run_command("x", lambda: fails(SystemExit(2)))


def test_log_lines_are_escaped() -> None:
    """A cloud's sentence is foreign text."""
    record = logging.LogRecord("a", logging.WARNING, "f", 1, "cloud says %s", ("\x1b[2J http://u:p@h",), None)
    assert Sentences("p: %(message)s").format(record) == r"p: cloud says \x1b[2J http://***@h"


PROGRAM = """
import sys
from partway.errors import InputError
from partway.system.command import print_line, run_command
def body():
    what = sys.argv[1]
    if what == "fail":
        raise InputError("it is wrong")
    if what == "service":
        print_line("ready")
        print_line("again")
        return 0
    print("x" * int(what))
    return 0
sys.exit(run_command("prog", body))
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("what", "streams", "code", "says"),
    [
        ("9", "", 0, ""),
        ("9", ">&-", 1, "prog: standard output is closed; send it to a file or to /dev/null"),
        ("9", ">/dev/full", 1, "cannot be written (No space left on device)"),
        ("99999", ">/dev/full", 1, "cannot be written (No space left on device)"),
        ("9", "2>&-", 0, ""),
        ("9", "<&-", 0, ""),
        ("9", "<&- 2>&-", 0, ""),
        ("fail", "2>&-", 2, ""),
        ("fail", "2>/dev/full", 2, ""),
        ("fail", ">&-", 2, "prog: it is wrong"),
        ("service", ">/dev/full", 0, "this service goes on without it"),
        ("service", ">&-", 0, "prog"),
    ],
)
def test_closed_and_full_streams_are_a_sentence_and_a_code(
    what: str, streams: str, code: int, says: str, unbuffered: str, tmp_path: Path
) -> None:
    """No traceback, and no message in a place where another file was opened."""
    (tmp_path / "p.py").write_text(PROGRAM)
    command = f"{sys.executable} {tmp_path}/p.py {what} {streams}"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    assert says == "prog" or says in ran.stderr
    assert ran.stderr.count("\n") == (1 if says else 0)


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """``| head -1``: silence, and code 1."""
    (tmp_path / "p.py").write_text(PROGRAM)
    command = f"{sys.executable} {tmp_path}/p.py 9999999 | head -c 1; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("x1\n", "")


def test_a_line_of_a_service_is_printed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Its parent waits for it."""
    print_line("ready")
    assert capsys.readouterr().out == "ready\n"
