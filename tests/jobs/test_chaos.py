"""Real processes: the cloud killed, stopped, another version, the link cut or half open, while frames flow.

The benchmark of the same name does this at fifty moments each; here it is one each, and the figures are only bounded
loosely: what counts is that no frame is lost, doubled, out of order or wrong.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from partway.edge.transport.cloud_monitor import ANSWER_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
MUCH_S = 15.0
"""A busy machine stretches everything; not noticing at all would take longer still."""


def _chaos(*options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.chaos", "--frames", "200", "--moments", "1", "--json", "-", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    return {**found, "stderr": done.stderr}


def _assert_whole(found: dict[str, Any], local: bool = True) -> None:
    assert found["frames"] >= 200
    assert {key: found[key] for key in ("lost", "twice", "out_of_order", "wrong", "unanswered")} == {
        "lost": 0,
        "twice": 0,
        "out_of_order": 0,
        "wrong": 0,
        "unanswered": 0,
    }
    assert found["moments"] == 1
    assert bool(found["first_local_s"]) == local
    assert max(found["first_local_s"], default=0.0) < MUCH_S
    assert max(found["back_s"]) < MUCH_S + ANSWER_S


@pytest.mark.parametrize("kind", ["kill", "stop", "cut", "stall"])
def test_no_frame_is_lost_whatever_happens_to_the_cloud(kind: str) -> None:
    """SIGKILL, SIGSTOP, a cut link, one that is half open: answered here, and by the cloud again when it is back."""
    _assert_whole(_chaos("--kinds", kind))


def test_no_frame_is_lost_where_replies_come_after_the_deadline() -> None:
    """A link that turns so slow that every reply is late: answered here, once, though the cloud answers as well."""
    _assert_whole(_chaos("--kinds", "late", "--deadline", "2s"))


def test_a_stranger_who_does_not_read_costs_others_nothing() -> None:
    """Somebody else's stream is full of answers that nobody takes; our frames are answered by the cloud."""
    _assert_whole(_chaos("--kinds", "reader"), local=False)


def test_a_cloud_that_comes_back_with_another_version_is_not_used() -> None:
    """Its plan differs: said once, and no frame goes there until the right version is back."""
    found = _chaos("--kinds", "version")
    _assert_whole(found)
    assert found["by_the_other_version"] == 0
    assert found["stderr"].count("has another version of mnist now; it is not used") == 1
