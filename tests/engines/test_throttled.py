"""A device that waits: the same answers, never sooner than it should be."""

from hashlib import sha256
from time import perf_counter

import numpy as np
import pytest

from partway.engines.fake import FakeEngine, fake_stage
from partway.engines.throttled import PacedEngine, SlowEngine
from partway.errors import InputError
from partway.proto.tensors import TensorSpec

IN, OUT = TensorSpec("x", "float32", (None, 4)), TensorSpec("y", "float32", (None, 4))
STAGE = fake_stage((IN,), (OUT,))
VALUES = {"x": np.ones((1, 4), np.float32)}


@pytest.mark.parametrize("seconds", [0.0, 0.00005, 0.02])
def test_a_stage_takes_at_least_what_it_should(seconds: float) -> None:
    """Also where that is less than a sleep can do; the answers are the engine's own."""
    stage = PacedEngine(FakeEngine(), {sha256(STAGE).hexdigest(): seconds}).load(STAGE)
    begun_s = perf_counter()
    made = stage.run(VALUES)
    assert perf_counter() - begun_s >= seconds
    np.testing.assert_array_equal(made["y"], FakeEngine().load(STAGE).run(VALUES)["y"])
    assert (stage.inputs, stage.outputs) == ((IN,), (OUT,))


def test_a_stage_of_which_nothing_is_known_is_refused() -> None:
    """It would run at this machine's pace among others that do not."""
    engine = PacedEngine(FakeEngine(threads=3), {"0" * 64: 1.0})
    assert (engine.name, engine.threads) == ("fake", 3)
    with pytest.raises(InputError, match="partway profile"):
        engine.load(STAGE)


def test_a_slow_stage_does_the_work_several_times() -> None:
    """It sleeps as often as it runs, and answers as the engine does."""
    naps: list[float] = []
    engine = SlowEngine(FakeEngine(threads=2, sleep=naps.append), 3)
    made = engine.load(fake_stage((IN,), (OUT,), 0.5)).run(VALUES)
    assert naps == [0.5] * 3
    assert (engine.name, engine.version, engine.threads) == ("fake", "1", 2)
    np.testing.assert_array_equal(made["y"], VALUES["x"])
