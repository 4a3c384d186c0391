"""Tables of stages and cuts, and the bar of progress."""

from dataclasses import replace
from typing import Any

import pytest

from partway.cli.show.plan import _codec_table, progress, share, show_plan, show_stages
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan
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


def test_no_bar_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Output that is no terminal stays as it is."""
    with progress("codecs", 3) as advance:
        advance("split 1", 1)
    assert capsys.readouterr().out.strip() == ""


def shown(plan: Plan, max_drop: float) -> list[list[str]]:
    """The cells of the table, row by row."""
    columns = [list(column.cells) for column in _codec_table(plan, max_drop).columns]
    return [[str(cell) for cell in row] for row in zip(*columns, strict=True)]


def entry(k: int, codec: str, size: float, agreement: float | None, **more: Any) -> dict[str, Any]:
    """One candidate as calibration notes it."""
    base = {"k": k, "codec": codec, "bytes_mean": size, "bytes_p95": size, "encode_s": 1e-3, "decode_s": 1e-3}
    return {**base, "frames": 100, "agreement": agreement, "relative_error": None, **more}


def test_the_table_shows_what_might_be_chosen() -> None:
    """Codecs that another beats are left out, all but raw; those within the budget are marked."""
    entries = (
        entry(1, "raw", 9000.0, 1.0),
        entry(1, "q8", 2000.0, 0.995),
        entry(1, "q6", 2500.0, 0.99),
        entry(1, "q4", 1000.0, 0.9, accuracy=0.8, accuracy_unsplit=0.9),
    )
    plan = replace(PLAN, candidates=entries)
    rows = shown(plan, 1.0)
    assert [(row[0], row[1], row[-1]) for row in rows] == [("1", "raw", "yes"), ("1", "q8", "yes"), ("1", "q4", "")]
    assert rows[0][2:6] == ["9.00 KB", "9.00 KB", "2.00 ms", "100.0%"]
    assert rows[2][5:7] == ["90.0%", "80.0%"]
    assert rows[0][6] == "-"
    assert [row[-1] for row in shown(plan, 15.0)] == ["yes"] * 3


def test_where_nothing_was_compared_the_error_is_shown() -> None:
    """In place of the agreement: older plans, and inputs in which the model finds nothing."""
    entries = (entry(1, "raw", 9000.0, None, relative_error=0.0), entry(1, "q8", 2000.0, None, relative_error=0.031))
    plan = replace(PLAN, candidates=entries, output={})
    assert [row[5] for row in shown(plan, 5.0)] == ["off 0.0%", "off 3.1%"]


@pytest.mark.parametrize(
    ("output", "measure"),
    [({"kind": "classify"}, "equal class"), ({}, "1 - error"), ({"kind": "tensors"}, "1 - error")],
)
def test_the_column_is_named_for_what_the_task_measures(output: dict[str, str], measure: str) -> None:
    """Equal classes of a classifier are not the error of tensors."""
    columns = [str(column.header) for column in _codec_table(replace(PLAN, output=output), 1.0).columns]
    assert columns[5] == measure


@pytest.mark.parametrize(
    ("compared", "sentence"),
    [(40, ""), (28, "the model finds nothing in 12 of 40 inputs"), (0, "warning: the model finds nothing in any of")],
)
def test_inputs_that_tell_nothing_are_counted(compared: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A detector that sees no object in a picture agrees with itself whatever the codec."""
    entries = (entry(1, "raw", 9000.0, 1.0 if compared else None, frames=40, compared=compared, relative_error=0.0),)
    show_plan(replace(PLAN, candidates=entries), 1.0, real=True)
    printed = capsys.readouterr().out
    assert sentence in printed
    assert ("finds nothing" in printed) == bool(sentence)


def test_candidates_that_were_not_compared_are_all_shown() -> None:
    """Nobody knows yet which of them will do."""
    entries = (entry(1, "raw", 9000.0, None), entry(1, "q8", 2000.0, None), entry(1, "q4", 1000.0, None))
    rows = shown(replace(PLAN, candidates=entries), 1.0)
    assert [row[1] for row in rows] == ["raw", "q8", "q4"]
    assert [row[-1] for row in rows] == ["yes", "", ""]


def test_the_title_has_the_budget() -> None:
    """In points, without needless digits."""
    assert _codec_table(replace(PLAN, candidates=()), 2.5).title == "what crosses (budget: 2.5 points)"


@pytest.mark.parametrize("name", ["mnist", "mnist-int8"])
def test_the_codecs_of_every_shipped_plan_are_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Their candidates have no 95th percentile of bytes; a dash stands for what was not noted."""
    plan = load_plan(model_folder(name))
    show_plan(plan, 1.0, real=True)
    assert "what crosses" in capsys.readouterr().out
    assert {row[3] for row in shown(plan, 1.0)} == {"-"}
