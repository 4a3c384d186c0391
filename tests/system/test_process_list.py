"""Credentials in arguments are hidden from other users of the machine."""

import subprocess
import sys
from pathlib import Path

from partway.system.process_list import _hidden

PROGRAM = """
import sys
from partway.system.process_list import hide_in_process_list
hide_in_process_list()
print(open("/proc/self/cmdline").read().replace("\\0", " "))
print(" ".join(sys.argv))
"""


def test_ps_shows_stars_and_the_program_its_arguments(tmp_path: Path) -> None:
    """In a real process; where the system does not allow it, nothing changes and nothing fails."""
    (tmp_path / "p.py").write_text(PROGRAM)
    words = ["--input", "rtsp://admin:s3@cret@h/x?pwd=abc&channel=1", "--input=http://u:p@h/", "a@b"]
    ran = subprocess.run([sys.executable, tmp_path / "p.py", *words], capture_output=True, text=True, check=True)
    listed, own = ran.stdout.splitlines()
    assert own.endswith(" ".join(words))
    assert "s3@cret" not in listed or not Path("/proc/self/mem").exists()
    if "s3@cret" not in listed:
        assert listed.strip().endswith("--input rtsp://*************@h/x?pwd=***&channel=* --input=http://***@h/ a@b")


def test_lengths_stay() -> None:
    """The place of the arguments in memory has no room for more."""
    for argument in (b"rtsp://u:p@h/a=b/c?d=e&f", b"plain=x@y", b"http://h/", b"x://@"):
        assert len(_hidden(argument)) == len(argument)
    assert _hidden(b"plain=x@y") == b"plain=x@y"
