"""The engine without a model."""

import json

import numpy as np
import pytest

from partway.engines.fake import FakeEngine, fake_stage
from partway.errors import InputError
from partway.proto.tensors import TensorSpec

X = TensorSpec("x", "float32", (None, 4))
Y = TensorSpec("y", "int8", (None, 2, 3))
SCALAR = TensorSpec("s", "float64", ())


def test_a_fake_stage_takes_its_time() -> None:
    """It waits as long as its file says, on the clock it is given, and not at all for nothing."""
    slept: list[float] = []
    engine = FakeEngine(sleep=slept.append)
    for seconds in (0.25, 0.0):
        engine.load(fake_stage((X,), (Y,), seconds)).run({"x": np.zeros((1, 4), np.float32)})
    assert slept == [0.25]


def test_what_is_not_shaped_like_the_input_is_zeros() -> None:
    """Zeros of the announced dtype, as many as there are samples; a scalar input is one sample."""
    made = FakeEngine().load(fake_stage((X,), (Y, SCALAR))).run({"x": np.ones((5, 4), np.float32)})
    assert (made["y"].shape, made["y"].dtype, made["y"].any()) == ((5, 2, 3), np.int8, False)
    assert made["s"].shape == ()
    assert FakeEngine().load(fake_stage((SCALAR,), (Y,))).run({"s": np.array(1.0)})["y"].shape == (1, 2, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"stage_s": -1},
        {"stage_s": float("inf")},
        {"stage_s": float("nan")},
        {"stage_s": "soon"},
        {"stage_s": None},
        {"inputs": []},
        {"inputs": 5},
        {"outputs": None},
        {"outputs": [{"name": "y"}]},
    ],
)
def test_a_fake_stage_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    """No inputs, no time or an endless one: the file is at fault, in one sentence."""
    data = json.loads(fake_stage((X,), (Y,)))
    with pytest.raises(InputError):
        FakeEngine().load(json.dumps(data | change).encode())


@pytest.mark.parametrize("text", [b"null", b"[]", b"\xff", b"[" * 100_000])
def test_any_json_but_a_stage_is_refused(text: bytes) -> None:
    """Text that is no JSON, other JSON, and JSON nested without end."""
    with pytest.raises(InputError, match="not a fake stage"):
        FakeEngine().load(text)
