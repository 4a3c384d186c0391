"""Modules traced with an example of their input."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.torch_project import image

import partway

pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_several_inputs_by_name_and_a_dict_of_outputs(tmp_path, nets):
    """Inputs are called as forward calls them, outputs by the keys of what it returns."""
    example = {"scale": np.ones((1, 1), np.float32), "image": image(1)}
    plan = partway.plan(nets.Two(), example, out=tmp_path, cuts="none")
    assert plan.inputs == ("image", "scale") and plan.outputs == ("logits", "best")


def test_a_module_that_fixes_its_batch_takes_one_frame_at_a_time(here, tmp_path, nets, caplog):
    """It is exported nevertheless, and that is said."""
    plan = partway.plan(nets.OneFrame(), np.ones((3, 8), np.float32), out=tmp_path, cuts="none")
    assert not plan.batches and plan.tensors["x"].shape == (1, 8)
    assert "OneFrame has a fixed batch and takes one frame at a time" in caplog.text
