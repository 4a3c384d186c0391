"""The picture of a replay, read back from its axes."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'partway[explain]'")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from partway.edge.emulator.plot import draw, save
from partway.edge.emulator.replay import Answered
from partway.edge.pipeline.result import NOBODY, FrameResult

FRAME = FrameResult(0, "a", 1, "raw", 100, 20, 0.1, 0.02, 0.3, 0.01, 0.02, 0.05, 0.5, "cloud", {})
FRAMES = [
    Answered(0.5, FRAME),
    Answered(1.0, replace(FRAME, cut=3, codec=None, answered_by="device", total_s=0.02)),
    Answered(2.0, replace(FRAME, answered_by=NOBODY, total_s=1.5)),
    Answered(2.5, replace(FRAME, cut=0, codec="u8", total_s=0.9)),
]


def points(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """What is drawn under each name of the legend."""
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]
        for line in axes.get_lines()
    }


def charts(figure: Figure) -> tuple[Axes, Axes, Axes]:
    """Link, splits and times."""
    link, splits, times = figure.axes
    return link, splits, times


def test_every_frame_is_a_point_at_its_split() -> None:
    """Frames are sorted by codec; one that sent nothing is called that."""
    _, splits, _ = charts(draw(FRAMES, 3, None, None, "a heading"))
    assert points(splits) == {
        "nothing sent": [(1.0, 3.0)],
        "raw": [(0.5, 1.0), (2.0, 1.0)],
        "u8": [(2.5, 0.0)],
    }
    low, high = splits.get_ylim()
    assert low < 0 < 3 < high < 4


def test_every_frame_is_a_point_at_its_time() -> None:
    """Frames are sorted by who answered them; a deadline is a line, and what missed it has a ring."""
    _, _, times = charts(draw(FRAMES, 3, None, 0.6, "a heading"))
    drawn = points(times)
    assert drawn["by cloud"] == [(0.5, 0.5), (2.5, 0.9)]
    assert drawn["by device"] == [(1.0, 0.02)]
    assert drawn[f"by {NOBODY}"] == [(2.0, 1.5)]
    assert drawn["missed"] == [(2.0, 1.5), (2.5, 0.9)]
    assert {y for _, y in drawn["deadline"]} == {0.6}
    assert times.get_yscale() == "log"


def test_without_a_deadline_there_is_no_line_for_it() -> None:
    """Only frames that nobody answered have missed something."""
    drawn = points(charts(draw(FRAMES, 3, None, None, ""))[2])
    assert "deadline" not in drawn
    assert drawn["missed"] == [(2.0, 1.5)]
    assert "missed" not in points(charts(draw(FRAMES[:1], 3, None, None, ""))[2])


def test_the_link_is_an_area_from_zero() -> None:
    """What a trace offers is drawn over the same axis of seconds, in steps."""
    link, splits, times = charts(draw(FRAMES, 3, ([0.0, 1.0, 2.0], [1e6, 5e6, 2e6]), None, ""))
    (area,) = link.collections
    corners = {(float(x), float(y)) for x, y in area.get_paths()[0].vertices}
    assert {(0.0, 1e6), (1.0, 1e6), (1.0, 5e6), (2.0, 5e6), (2.0, 0.0)} <= corners
    assert link.get_ylim()[0] == 0
    assert link.get_shared_x_axes().joined(link, splits)
    assert link.get_shared_x_axes().joined(link, times)
    assert not charts(draw(FRAMES, 3, None, None, ""))[0].collections


def test_a_replay_without_frames_is_a_picture_too(tmp_path: Path) -> None:
    """Nothing was answered: the axes stand empty, and the heading says what was tried."""
    figure = draw([], 3, None, 0.5, "nothing answered")
    save(figure, tmp_path / "empty.png")
    assert figure.get_suptitle() == "nothing answered"
    assert points(charts(figure)[1]) == {}


def test_the_picture_is_a_png_whatever_the_file_is_called(tmp_path: Path) -> None:
    """A name without a suffix gets a PNG of the size that was drawn."""
    save(draw(FRAMES, 3, None, 0.6, "a heading"), tmp_path / "picture")
    with Image.open(tmp_path / "picture") as picture:
        assert (picture.format, picture.size) == ("PNG", (1320, 900))
