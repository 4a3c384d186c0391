"""The original picture of a sample: kept where answers are drawn on it, dropped everywhere else to save memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from partway.edge.sources.files import Sample
from partway.tasks.interface import Geometry


def with_picture(sample: Sample) -> Sample:
    """The sample with a picture to draw on: the original, else the model's pixels if they are the whole picture."""
    pixels, geometry = sample.pixels, sample.geometry
    if sample.original is not None or pixels is None:
        return sample
    height, width = pixels.shape[:2]
    same = geometry is None or geometry == Geometry(width, height, width, height)
    return replace(sample, original=pixels) if same else sample


def without_picture(sample: Sample) -> Sample:
    """The sample without its picture in memory. The path of a file may stay."""
    return sample if sample.original is None or isinstance(sample.original, Path) else replace(sample, original=None)
