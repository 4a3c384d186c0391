"""The closing lines of a run: the summary, what was dropped, audited or changed, and what to try next."""

from __future__ import annotations

import io
from collections import deque
from typing import Any

import numpy as np
import pytest
from tests.support.affine import affine_chain

from partway.edge.decision.audit import Tally
from partway.edge.decision.split_controller import Change
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.closing_lines import closing_lines
from partway.edge.report.run_json import RunReport
from partway.edge.report.statistics import Results
from partway.edge.report.terminal import Report
from partway.partitioner.decide.estimate import Candidate
from partway.tasks.classify import Classes

PLAN = affine_chain().plan
SPLIT, HOME = Candidate(1, "raw", 2600, 90), Candidate(3, None)
CHANGE = Change(7, SPLIT, HOME, "the cloud is lost")
FRAME = FrameResult(
    0, "0.png", 1, "raw", 2600, 90, 0.01, 0.001, 0.02, 0.0, 0.001, 0.005, 0.04, "cloud",
    {"y": np.zeros((1, 2))}, Classes((("yes", 1, 0.9),)),
)  # fmt: skip


def closing(
    when_behind: str = "block", command: str | None = "edge-run --model mnist", frames: int = 1, **fields: Any
) -> str:
    """The closing lines of a run of two seconds that came to this."""
    out, results = io.StringIO(), Results()
    for _ in range(frames):
        results.add(FRAME)
    closing_lines(RunReport(PLAN, "affine", results=results, wall_s=2.0, **fields), Report(out), when_behind, command)
    return out.getvalue()


def test_the_closing_lines_count_what_happened() -> None:
    """Dropped frames with the policy that dropped them, audits by name, changes, in this order after the summary."""
    audits = {SPLIT: Tally(deque([(4, 3.0, 4.0)]), deque([0.5]))}
    lines = closing("drop-oldest", changes=[CHANGE], dropped=4, audits=audits).splitlines()
    assert lines[0].startswith("1 frames answered (1 by the cloud) in 2.00 s")
    assert lines[3:6] == [
        "4 frames were dropped before they began (--when-behind drop-oldest)",
        "audited: split 1 at a (raw), 3 of 4 answers agree with those to exact values",
        "the split changed once while frames flowed",
    ]


@pytest.mark.parametrize(("changes", "times"), [(1, "once"), (2, "2 times")])
def test_changes_of_the_split_are_counted(changes: int, times: str) -> None:
    """One number for all of them; the run's JSON has each."""
    assert f"the split changed {times} while frames flowed\n" in closing(changes=[CHANGE] * changes)


def test_an_uneventful_run_has_no_lines_about_events() -> None:
    """Nothing was dropped, audited or changed: nothing is said of it."""
    text = closing()
    for word in ("dropped", "audited", "changed", "interrupted"):
        assert word not in text


def test_an_interrupted_run_says_so_and_suggests_nothing() -> None:
    """Whoever pressed Ctrl-C wants to be done."""
    text = closing(interrupted=True)
    assert text.endswith("interrupted; the frames above are the ones that were answered\n")
    assert "try next" not in text


def test_a_run_without_answers_still_closes() -> None:
    """Interrupted before the first frame was answered."""
    assert closing(frames=0, interrupted=True).splitlines()[0] == "no frame was answered"


def test_what_to_try_next_can_be_typed_as_it_is() -> None:
    """Each command begins as the run's own did."""
    text = closing(command="edge-run --model mobilenet_v2 --random-weights")
    assert text.count("edge-run --model mobilenet_v2 --random-weights --") == 3


def test_without_a_command_nothing_is_suggested() -> None:
    """Constraints leave little to try."""
    assert "try next" not in closing(command=None)
