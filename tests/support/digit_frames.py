"""The shipped digits as the mnist model's own pixels, and what they show."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from partway.edge.pipeline.result import FrameResult
from partway.edge.sources.samples import sample_of
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

Array = np.ndarray[Any, Any]
PLAN = load_plan(model_folder("mnist"))
DIGITS = sorted((model_folder("mnist") / "samples").glob("*-nib-chalk.png"))
LABELS = [path.name[0] for path in DIGITS]


@cache
def digits() -> list[Array]:
    """The pixels of ``DIGITS``."""
    found = [sample_of(path, PLAN, "digit").pixels for path in DIGITS]
    return [pixels for pixels in found if pixels is not None]


def labels(results: Iterable[FrameResult]) -> list[str]:
    """The most probable class of each answer."""
    return [result.top[0][0] for result in results]
