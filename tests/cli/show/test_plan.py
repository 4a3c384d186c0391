"""Tables of stages and cuts, and the bar of progress."""

from dataclasses import replace

import pytest

from partway.cli.show.plan import progress, share, show_cuts, show_plan, show_stages
from partway.partitioner.plan.plan import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))


def test_a_share_is_percent_or_unknown() -> None:
    """One digit after the point."""
    assert (share(0.9876), share(None)) == ("98.8%", "-")


def test_stages_have_times_only_where_they_were_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """A sliced plan has none."""
    show_stages(replace(PLAN, profiles=()))
    assert "time here" not in capsys.readouterr().out
    show_stages(replace(PLAN, profiles=({"stage_s": [1e-3] * len(PLAN.stages)},)))
    assert "time here" in capsys.readouterr().out


def test_codecs_within_the_budget_are_admitted(capsys: pytest.CaptureFixture[str]) -> None:
    """With a larger budget more rows say yes; the hint is for plans without real inputs."""
    entries = [{**entry, "bytes_p95": entry["bytes_mean"]} for entry in PLAN.candidates]
    for entry in entries:
        entry["agreement"] = 1.0 if entry["codec"] == "raw" else 0.9
    plan, counts = replace(PLAN, candidates=tuple(entries)), []
    for max_drop in (0.0, 100.0):
        show_plan(plan, max_drop, real=True)
        printed = capsys.readouterr().out
        counts.append(printed.count(" yes "))
        assert "no --calibrate" not in printed
    assert 0 < counts[0] < counts[1]


def test_cuts_are_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Values that cross together stand in one cell."""
    show_cuts([{"values": ["a", "b"], "bytes": 2000, "work_share": 0.25, "useful": True}], "net.onnx", 7)
    printed = capsys.readouterr().out
    assert "cuts of net.onnx (7 legal)" in printed
    assert "a + b" in printed and "2.00 KB" in printed and "25.0%" in printed


def test_no_bar_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Output that is no terminal stays as it is."""
    with progress("codecs", 3) as advance:
        advance("split 1", 1)
    assert capsys.readouterr().out.strip() == ""
