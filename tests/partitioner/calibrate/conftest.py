"""The shipped digits, and frames of them, for all tests of calibration."""

from __future__ import annotations

import numpy as np
import pytest

from partway.engines.registry import engine_for
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.calibrate.inputs import read_frames
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import model_folder, sample_folder


@pytest.fixture(scope="module")
def mnist() -> Chain:
    """The shipped model."""
    folder = model_folder("mnist")
    plan = load_plan(folder)
    return load_folder(folder, plan, engine_for(plan.engine, 1))


@pytest.fixture(scope="module")
def frames(mnist: Chain) -> list[CalibrationFrame]:
    """The drawn digits that come with it, shifted about."""
    folder = sample_folder(model_folder("mnist"))
    assert folder is not None
    found = read_frames(folder, mnist.plan, 10)
    preprocess = Preprocess.from_json(mnist.plan.input)
    assert preprocess is not None
    moved = []
    for frame in found:
        assert frame.pixels is not None
        for shift in ((0, 0), (1, 0), (0, 1), (-1, -1)):
            pixels = np.ascontiguousarray(np.roll(frame.pixels, shift, (0, 1)))
            moved.append(CalibrationFrame({preprocess.value: preprocess.tensor(pixels)}, pixels))
    return moved
