"""Frames of two devices share a batch only where the model does not mix its samples."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tests.cloud.conftest import X, Y
from tests.support.served import served

from partway.cloud.models.batch_independence import independent
from partway.errors import InputError
from partway.proto.tensors import Values

Array = np.ndarray[Any, Any]


def rowwise(values: Values) -> Mapping[str, Array]:
    """Each row for itself."""
    return {"y": np.tanh(values["x"]) * 3}


def mean_of_batch(values: Values) -> Mapping[str, Array]:
    """Every row minus the mean over the batch, as batch normalisation in training does."""
    return {"y": values["x"] - values["x"].mean(0, keepdims=True)}


def sorted_rows(values: Values) -> Mapping[str, Array]:
    """Rows in another order."""
    return {"y": values["x"][::-1]}


def one_row(values: Values) -> Mapping[str, Array]:
    """One row, whatever comes in."""
    return {"y": values["x"].sum(0, keepdims=True)}


def single_only(values: Values) -> Mapping[str, Array]:
    """An engine that takes one row at a time."""
    if len(values["x"]) > 1:
        raise InputError("one at a time")
    return {"y": values["x"]}


@pytest.mark.parametrize(
    ("function", "alone"),
    [(rowwise, True), (mean_of_batch, False), (sorted_rows, False), (one_row, False), (single_only, False)],
)
def test_a_model_that_mixes_its_samples_is_found(function: Any, alone: bool) -> None:
    """Two samples together must answer as each alone."""
    assert independent(served("m", function, (X,), (Y,)).chain) is alone
