"""Outputs become results by the plan's task."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.affine import affine_chain

from partway.errors import InputError
from partway.partitioner.plan.answer import AnswerReader, real_values
from partway.partitioner.plan.plan import Plan
from partway.proto.tensors import Quantization, TensorSpec
from partway.tasks.classify import Classes


def _plan(classes: int, softmax: bool) -> Plan:
    spec = TensorSpec("y", "int8", (None, classes), Quantization((0.25,), (-3,)))
    output = {"kind": "classify", "value": "y", "softmax": softmax}
    plan = affine_chain().plan
    return replace(plan, tensors={**plan.tensors, "y": spec}, outputs=("y",), output=output)


@pytest.mark.parametrize("classes", [4, 100])
@pytest.mark.parametrize("softmax", [True, False])
def test_integers_of_a_quantised_model_are_read_as_what_they_stand_for(classes: int, softmax: bool) -> None:
    """Scale and zero point are applied before the probabilities are made, for few classes and for many."""
    integers = np.full((1, classes), -128, np.int8)
    integers[0, :3] = 5, 9, 1
    real = 0.25 * (integers[0].astype(np.float64) + 3)
    expected = np.exp(real) / np.exp(real).sum() if softmax else real
    found = AnswerReader(_plan(classes, softmax)).result({"y": integers})
    assert isinstance(found, Classes)
    assert [index for _, index, _ in found.top] == [1, 0, 2]
    assert [p for *_, p in found.top] == pytest.approx(expected[[1, 0, 2]].tolist())


def test_scales_along_an_axis_apply_along_it() -> None:
    """One scale and zero point each."""
    meaning = Quantization((1.0, 10.0), (0, 1), axis=1)
    np.testing.assert_array_equal(real_values(np.array([[1, 2], [3, 4]], np.int8), meaning), [[1, 10], [3, 30]])


def test_a_task_that_is_not_installed_is_named() -> None:
    """A plan of another version may know tasks that this one does not."""
    with pytest.raises(InputError, match="unknown task"):
        AnswerReader(replace(_plan(4, False), output={"kind": "telepathy"}))
