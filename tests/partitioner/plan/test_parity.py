"""A sliced model is the model, and a wrong stage is noticed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from partway.engines.registry import engine_for
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.parity import TOLERANCE, Parity, relative_error, run_split, verify
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.state import StateLink
from partway.proto.tensors import TensorSpec, Values

Array = np.ndarray[Any, Any]
FLOATS = arrays.arrays(np.float32, st.integers(0, 6), elements=st.floats(-1e6, 1e6, width=32))


class Biased:
    """A stage that adds a little to what another makes."""

    def __init__(self, stage: Any, bias: float) -> None:
        self.inputs, self.outputs, self._stage, self._bias = stage.inputs, stage.outputs, stage, np.float32(bias)

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {name: value + self._bias for name, value in self._stage.run(values).items()}


class Spy:
    """A stage that notes which values it is handed."""

    def __init__(self, stage: Any) -> None:
        self.inputs, self.outputs, self._stage, self.handed = stage.inputs, stage.outputs, stage, list[set[str]]()

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        self.handed.append(set(values))
        return dict(self._stage.run(values))


@pytest.fixture
def chain(fake_plan: Path, plan: Plan) -> Chain:
    """Three fake stages."""
    return load_folder(fake_plan, plan, engine_for("fake"))


@pytest.fixture
def inputs() -> list[dict[str, Array]]:
    """Two frames."""
    rng = np.random.default_rng(0)
    return [{"x": rng.random((1, 64), dtype=np.float32)} for _ in range(2)]


@given(FLOATS)
def test_an_array_is_not_apart_from_itself(array: Array) -> None:
    """The error is zero, whatever is in it."""
    assert relative_error(array, array.copy()) == 0.0


@given(FLOATS.filter(lambda array: bool(array.size)), st.floats(1e-3, 10))
def test_the_error_is_the_largest_difference_over_the_largest_value(array: Array, off: float) -> None:
    """Scaling both arrays changes nothing; an array of zeros counts as one of ones."""
    whole = array.astype(np.float64)
    split = whole.copy()
    split[0] += off
    expected = abs(split[0] - whole[0]) / (np.abs(whole).max() or 1.0)
    assert relative_error(whole, split) == pytest.approx(expected)
    if np.abs(whole).max():
        assert relative_error(whole * 8, split * 8) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("whole", "split", "error"),
    [
        (np.ones(2, np.float32), np.ones(3, np.float32), np.inf),
        (np.ones(2, np.float32), np.ones(2, np.float64), np.inf),
        (np.ones(2, np.int8), np.ones((2, 1), np.int8), np.inf),
        (np.array([np.nan, 1.0]), np.array([1.0, np.nan]), np.inf),
        (np.array([np.inf, 1.0]), np.array([-np.inf, 1.0]), np.inf),
        (np.array([np.inf, 1.0]), np.array([1.0, 1.0]), np.inf),
        (np.array([np.nan, 2.0]), np.array([np.nan, 2.0]), 0.0),
        (np.array([np.nan, 2.0]), np.array([np.nan, 1.0]), 0.5),
        (np.array([np.inf, 4.0]), np.array([np.inf, 3.0]), 0.25),
        (np.array([100, 3], np.uint8), np.array([100, 5], np.uint8), 0.02),
        (np.array([True]), np.array([False]), 1.0),
        (np.zeros(0), np.zeros(0), 0.0),
    ],
)
def test_shapes_types_and_what_is_no_number_must_be_the_same(whole: Array, split: Array, error: float) -> None:
    """Where they differ the error is infinite; where NaN and infinity agree the rest decides."""
    assert relative_error(whole, split) == pytest.approx(error)


@pytest.mark.parametrize(
    ("error", "exact", "holds"), [(0.0, True, True), (TOLERANCE, False, True), (2e-5, False, False)]
)
def test_parity_holds_within_the_tolerance(error: float, exact: bool, holds: bool) -> None:
    """Or when every bit is the same."""
    assert Parity(1, "a", error, exact, 2).holds is holds


def test_a_chain_agrees_with_itself_at_every_split(chain: Chain, inputs: list[dict[str, Array]]) -> None:
    """From all in the cloud to all on the device, to the bit."""
    found = verify(chain, inputs)
    assert [(one.k, one.cut) for one in found] == [(0, "x"), (1, "a"), (2, "b"), (3, "y")]
    assert all(one.exact and one.holds and one.inputs == 2 for one in found)


def test_a_chain_with_a_wrong_stage_is_not_the_model(chain: Chain, inputs: list[dict[str, Array]]) -> None:
    """Against the right model's answers, every split shows the difference."""
    wholes = [chain.answer(chain.run(values, 0, 3)) for values in inputs]
    stages: list[Any] = [*chain.stages[:2], Biased(chain.stages[2], 0.5)]
    found = verify(Chain(chain.plan, stages), inputs, wholes)
    assert not any(one.exact or one.holds for one in found)
    assert not any(one.error <= TOLERANCE for one in found)


def test_a_suffix_sees_only_what_crosses(chain: Chain, inputs: list[dict[str, Array]]) -> None:
    """As two machines would do it: what the prefix read is not there."""
    spies = [Spy(stage) for stage in chain.stages]
    answer = run_split(Chain(chain.plan, spies), inputs[0], 1)
    assert spies[1].handed == [{"a"}]
    np.testing.assert_array_equal(answer["y"], chain.run(inputs[0], 0, 3)["y"])


def test_an_answer_that_the_prefix_made_stays_on_the_device(chain: Chain, inputs: list[dict[str, Array]]) -> None:
    """It does not cross and is in the answer all the same."""
    cuts = (*chain.plan.cuts[:3], replace(chain.plan.cuts[3], values=("y", "a")))
    early = Chain(replace(chain.plan, outputs=("y", "a"), cuts=cuts), chain.stages)
    answer = run_split(early, inputs[0], 2)
    assert set(answer) == {"y", "a"}
    np.testing.assert_array_equal(answer["a"], chain.run(inputs[0], 0, 1)["a"])


def test_a_model_with_state_is_checked_as_one_sequence() -> None:
    """Each split carries its own state; the references are a plain loop over the frames."""
    plan = _counting_plan()
    inputs = [{"x": np.full((1, 1), value, np.float32)} for value in range(5)]
    right = [{"y": np.full((1, 1), total, np.float32)} for total in (0, 1, 3, 6, 10)]
    rows = verify(Chain(plan, [_Counting(plan.stages[0])]), inputs, right)
    assert [row.exact for row in rows] == [True, True]
    apart = [{**one, "sum": np.zeros((1, 1), np.float32)} for one in inputs]
    reset = verify(Chain(plan, [_Counting(plan.stages[0])]), apart, right)
    assert not any(row.holds for row in reset)


class _Counting:
    """y and the next sum are x plus the sum before."""

    def __init__(self, stage: Stage) -> None:
        self.inputs, self.outputs = stage.inputs, stage.outputs

    def run(self, values: Values) -> dict[str, Array]:
        total = values["x"] + values["sum"]
        return {"y": total, "next": total}


def _counting_plan() -> Plan:
    specs = {name: TensorSpec(name, "float32", (1, 1)) for name in ("x", "sum", "y", "next")}
    stage = Stage("", "", 0, (specs["x"], specs["sum"]), (specs["y"], specs["next"]), 1)
    cuts = (Cut(("x", "sum")), Cut(("y", "next")))
    state = (StateLink("next", "sum"),)
    return Plan("count", "0" * 64, "fake", (stage,), cuts, specs, ("x", "sum"), ("y", "next"), state=state)
