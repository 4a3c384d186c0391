"""The table of cuts and the regrets below it."""

from typing import Any

import pytest

from partway.cli.show.cuts import show_cuts


def found(*cuts: dict[str, Any]) -> dict[str, Any]:
    """What ``partway cuts --json`` prints."""
    return {
        "bytes_from": "measured on 4 of the given inputs",
        "times_from": "measured here, operator by operator",
        "total_s": 0.064,
        "levels": ["fp16", "q8", "q6", "q4"],
        "picture_bytes": {"jpeg95": 15e3, "jpeg75": 7e3},
        "cuts": list(cuts),
        "regrets": [
            {"objective": "latency", "constraint": "input kept", "mean": 0.012, "worst": 0.08},
            {"objective": "frames/s", "constraint": "input kept", "mean": 0.021, "worst": 0.09},
        ],
    }


def cut(*values: str, useful: bool = True) -> dict[str, Any]:
    """A row of it."""
    coded = {"fp16": 1000, "q8": 600, "q6": 400, "q4": 200}
    wanted = ["latency, input kept", "frames/s, memory 50%", "frames/s, memory 10%"] if useful else []
    return {
        "values": list(values), "bytes": 2000, "coded_bytes": coded, "time_share": 0.25, "useful": useful,
        "wanted_for": wanted,
    }  # fmt: skip


def test_a_cut_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Values that cross together stand in one cell; the settings that want it are named in short."""
    show_cuts(found(cut("a", "b"), cut("c", useful=False)), "net.onnx", every=False)
    printed = capsys.readouterr().out
    assert "cuts of net.onnx (2 legal)" in printed
    row = next(line for line in printed.splitlines() if "a + b" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "a + b", "2.00 KB", "600 B", "200 B", "25.0%", "kept", "memory",
    ]  # fmt: skip
    assert "│ c " not in printed


def test_all_cuts_are_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that the chain does not use have nobody who wants them."""
    show_cuts(found(cut("a"), cut("c", useful=False)), "net.onnx", every=True)
    assert "│ c " in capsys.readouterr().out


def test_regrets_are_printed_mean_and_worst(capsys: pytest.CaptureFixture[str]) -> None:
    """By constraint and objective."""
    show_cuts(found(cut("a")), "net.onnx", every=False)
    printed = capsys.readouterr().out
    assert "1.2% / 8.0%" in printed and "2.1% / 9.0%" in printed
    assert "64.0 ms in all" in printed and "jpeg95 15.0 KB" in printed


@pytest.mark.parametrize(
    ("cuts", "advice"), [((), "no cut separates"), ((cut("a", useful=False),), "`partway slice --cuts NAME`")]
)
def test_an_empty_table_says_what_to_do(cuts: tuple[Any, ...], advice: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Because nothing can be cut, or no cut pays."""
    show_cuts(found(*cuts), "net.onnx", every=False)
    assert advice in " ".join(capsys.readouterr().out.split())
