"""What people see."""

import io
from dataclasses import replace
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from tests.support.affine import affine_chain

from partway.edge.decision.decision import Decision
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.statistics import summarize
from partway.edge.report.terminal import Report, frame_line
from partway.partitioner.decide.estimate import Candidate, Estimate
from partway.partitioner.plan.cut import Cut
from partway.tasks.classify import Classes
from partway.tasks.tensors import Tensors

PLAN = affine_chain().plan


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def _result(index: int = 0, total_s: float = 0.001, by: str = "cloud", **change: Any) -> FrameResult:
    parts = {"prefix_s": total_s, "encode_s": 0.0, "link_s": 0.0, "queue_s": 0.0, "decode_s": 0.0, "suffix_s": 0.0}
    known: dict[str, Any] = {
        "id": index, "name": f"{index}.png", "cut": 1, "codec": "raw", "bytes_sent": 100, "bytes_received": 50, **parts,
        "total_s": total_s, "answered_by": by, "outputs": {"y": np.zeros((1, 2))},
        "answer": Classes((("yes", 1, 0.75),)),
    }  # fmt: skip
    return FrameResult(**(known | change))


def _decision(*estimates: Estimate) -> Decision:
    return Decision(estimates, estimates[0], "because", None, False)


DECISION = _decision(
    Estimate(Candidate(3, None), prefix_s=0.0004, measured_s=0.0005),
    Estimate(Candidate(1, "raw", 2500), 0.001, 0.002, 0.003, 0.004, 0.005, 0.0061),
    Estimate(Candidate(0, "jpeg75", 900), 0.0, 0.01, 0.02, 0.03, 0.0, 0.0),
)


def test_a_file_gets_plain_text() -> None:
    """Where the output is no terminal there is no escape character in it, and no progress bar."""
    out = io.StringIO()
    report = Report(out)
    report.header([("model", "mnist"), ("cloud", "none")])
    report.candidates(DECISION, PLAN)
    with report.frames(2) as lines:
        lines.add(_result())
    report.summary(summarize([_result()], 1.0))
    assert "\x1b" not in out.getvalue()
    assert "1/2" not in out.getvalue()
    assert "  model  mnist\n  cloud  none\n" in out.getvalue()


def test_a_terminal_gets_a_progress_bar_over_the_lines() -> None:
    """On a terminal the bar counts the frames, and the lines still come out."""
    out = Terminal()
    with Report(out).frames(2) as lines:
        lines.add(_result(0))
        lines.add(_result(1))
    assert "frames" in out.getvalue()
    assert "/2" in out.getvalue()
    assert out.getvalue().index("0.png") < out.getvalue().index("1.png")


def test_quiet_prints_nothing() -> None:
    """With JSON on standard output nothing else is there."""
    for out in (io.StringIO(), Terminal()):
        report = Report(out, quiet=True)
        report.header([("model", "mnist")])
        report.candidates(DECISION, PLAN)
        with report.frames(1) as lines:
            lines.add(_result())
        report.summary(summarize([_result()], 1.0))
        report.say("hello")
        assert out.getvalue() == ""


def test_the_table_has_every_candidate_with_its_parts() -> None:
    """One row a candidate, best first, in milliseconds, the chosen one marked, measured where it was measured."""
    out = io.StringIO()
    Report(out).candidates(DECISION, PLAN)
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in out.getvalue().splitlines() if "│" in line
    ]
    assert rows == [
        ["> 3 device", "-", "-", "-", "0.400", "0.000", "0.000", "0.000", "0.400", "0.500"],
        ["1", "a", "raw", "2.50 KB", "1.000", "2.000", "3.000", "15.1", "21.1", ""],
        ["0 cloud", "x", "jpeg75", "900 B", "0.000", "10.0", "20.0", "30.0", "60.0", ""],
    ]
    assert out.getvalue().rstrip().endswith("-> because")


def test_long_cut_names_are_shortened() -> None:
    """A cut of many values does not burst the table."""
    names = tuple(f"value_{index}" for index in range(9))
    plan = replace(PLAN, cuts=(Cut(names), *PLAN.cuts[1:]))
    out = io.StringIO()
    Report(out).candidates(DECISION, plan)
    assert "va…" in out.getvalue()
    assert "value_3" not in out.getvalue()


@pytest.mark.parametrize("text", ["[red]model[/red]", "[fe80::1]:8001", ":smile: [/]", "C:\\[bold]"])
def test_names_are_no_markup(text: str) -> None:
    """Brackets and colons in names and addresses come out as they are."""
    out = io.StringIO()
    report = Report(out)
    report.header([("cloud", text)])
    report.say(text)
    report.candidates(_decision(Estimate(Candidate(0, text, 1))), PLAN)
    assert out.getvalue().count(text) == 3


def test_a_line_tells_file_label_probability_place_and_time() -> None:
    """One prediction, one line."""
    assert frame_line(_result(7, 0.0123)).split() == ["7.png", "yes", "75.0", "%", "cloud", "12.30", "ms"]


def test_a_model_that_is_no_classifier_shows_its_outputs() -> None:
    """Without classes a line tells names and shapes."""
    assert "y [1, 2]" in frame_line(_result(answer=Tensors({"y": np.zeros((1, 2))})))


def test_lines_are_gathered_but_none_is_lost() -> None:
    """A thousand frames in no time are printed in a few pieces, every line of them."""
    out = io.StringIO()
    with Report(out).frames(None) as lines:
        for index in range(1000):
            lines.add(_result(index))
    assert [line.split()[0] for line in out.getvalue().splitlines()] == [f"{index}.png" for index in range(1000)]


def test_lines_come_out_when_the_run_is_broken_off() -> None:
    """What was answered before Ctrl-C is printed, terminal or not."""
    for out in (io.StringIO(), Terminal()):
        report = Report(out)

        def interrupted(report: Report = report) -> None:
            with report.frames(None) as lines:
                lines.add(_result(0))
                lines.add(_result(1))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert "1.png" in out.getvalue()


def test_the_summary_counts_and_ranks() -> None:
    """Counts by place, percentiles of the totals, medians of the parts, bytes and rate."""
    results = [_result(i, (i + 1) / 1000, "cloud" if i % 4 else "device") for i in range(100)]
    made = summarize(results, 2.0)
    assert (made["answered"], made["by_cloud"], made["by_device"]) == (100, 75, 25)
    assert (made["bytes_sent"], made["bytes_received"], made["frames_per_s"]) == (10_000, 5_000, 50.0)
    assert made["p50_s"] == pytest.approx(0.0505)
    assert made["p90_s"] == pytest.approx(0.0901)
    assert made["p99_s"] == pytest.approx(0.09901)
    assert made["parts"]["prefix_s"] == pytest.approx(0.0505)


def test_the_summary_reads_well() -> None:
    """Who answered how many, how fast, and where the time went; parts that took nothing are left out."""
    out = io.StringIO()
    results = [_result(0), _result(1, by="device", suffix_s=0.002)]
    Report(out).summary(summarize(results, 0.5))
    assert out.getvalue().splitlines() == [
        "2 frames answered (1 by the cloud and 1 by the device) in 500 ms: 4 frames/s",
        "per frame: p50 1.00 ms, p90 1.00 ms, p99 1.00 ms",
        "median parts: prefix 1.00 ms, suffix 1.00 ms; sent 100 B a frame",
    ]


def test_nothing_answered_is_said() -> None:
    """A run without a single answer has zeros in its summary and a sentence for people."""
    out = io.StringIO()
    made = summarize([], 0.0)
    Report(out).summary(made)
    assert out.getvalue() == "no frame was answered\n"
    assert (made["answered"], made["frames_per_s"], made["p99_s"]) == (0, 0.0, 0.0)


def test_a_line_is_printed_soon_though_no_other_frame_comes() -> None:
    """Of two frames at once the second is not kept until a third comes, or the input ends."""
    out = io.StringIO()
    with Report(out).frames(None) as lines:
        lines.add(_result(1))
        lines.add(_result(2))
        until_s = monotonic() + 10.0
        while "2.png" not in out.getvalue():
            assert monotonic() < until_s, out.getvalue()
            sleep(0.01)
    assert out.getvalue().count("2.png") == 1


def test_a_service_lists_no_candidates_and_says_why_one_was_chosen() -> None:
    """A journal gets the header and the reason; the table is for people."""
    out = io.StringIO()
    Report(out, table=False).candidates(DECISION, PLAN)
    assert out.getvalue() == "-> because\n"


def test_outputs_that_no_task_can_read_are_told() -> None:
    """A frame may have outputs and no answer."""
    assert "outputs that cannot be read" in frame_line(_result(answer=None))
