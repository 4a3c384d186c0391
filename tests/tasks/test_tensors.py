"""The task for outputs of which nothing is known."""

from base64 import b64decode

import numpy as np
import pytest

from partway.tasks.tensors import RawTensors, Tensors

TASK = RawTensors()


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.float32).reshape(1, 2, 3), np.array(7, np.int64)])
def test_outputs_come_back_from_json_as_they_were(array: np.ndarray) -> None:
    """dtype, shape and bytes; scalars too."""
    written = TASK.decode({"y": array}).to_json()["outputs"]["y"]
    again = np.frombuffer(b64decode(written["data"]), written["dtype"]).reshape(written["shape"])
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_agreement_is_one_minus_the_relative_error() -> None:
    """1 for equal outputs, 0 for other shapes or errors as large as the outputs."""
    ones = Tensors({"y": np.ones(4)})
    assert TASK.agreement(ones, ones) == 1
    assert TASK.agreement(Tensors({"y": np.full(4, 0.9)}), ones) == pytest.approx(0.9)
    assert TASK.agreement(Tensors({"y": np.ones(5)}), ones) == 0
    assert TASK.agreement(Tensors({"y": np.full(4, 9.0)}), ones) == 0
