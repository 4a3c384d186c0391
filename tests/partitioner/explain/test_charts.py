"""Charts of an explanation."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.explained import CLOUD, DEVICE, LINK

from partway.partitioner.decide.objectives import objective
from partway.partitioner.explain import charts as explain_plot
from partway.partitioner.explain.explanation import (
    Explanation,
    explain,
)
from partway.partitioner.plan.plan import Plan


def test_every_chart_says_what_it_shows(made: Explanation) -> None:
    """Five charts with profiles per operator, four without."""
    headings = [chart.heading for chart in explain_plot.charts(made)]
    assert headings[-1] == "Time per operator"
    assert len(headings) == 5
    without = replace(made, device=replace(DEVICE, operators=()))
    assert [chart.heading for chart in explain_plot.charts(without)] == headings[:-1]


@pytest.mark.parametrize("name", ["latency", "bytes"])
def test_the_picture_opens(plan: Plan, tmp_path: Path, name: str) -> None:
    """A PNG of two columns, light, and not of one colour."""
    path = tmp_path / "out.png"
    explain_plot.save_png(explain(plan, CLOUD, DEVICE, LINK, objective(name)), path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1500
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert len(np.unique(pixels[::9, ::9].reshape(-1, 3), axis=0)) > 20


def test_an_svg_is_the_same_every_time_but_for_its_ids(made: Explanation) -> None:
    """It carries neither a date nor an address of metadata."""
    svg = base64.b64decode(explain_plot.svg_uri(explain_plot.charts(made)[0].figure).partition(",")[2]).decode()
    assert "<dc:date>" not in svg
    assert "purl.org/dc/dcmitype" not in svg
