"""Objectives: how estimates are scored and shown."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.affine import affine_chain

from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import OBJECTIVES, objective, objective_for, order
from partway.partitioner.decide.power import Power
from partway.partitioner.plan.state import StateLink

SPEEDS = Speeds(device_s=(0.010, 0.020, 0.040), cloud_s=(0.001, 0.002, 0.004))
LINK = Link(1e6, 0.05)
POWER = Power("test", compute_w=6.0, send_w=4.0, wait_w=2.0)


def _order(name: str = "latency") -> Callable[[Estimate], tuple[float, ...]]:
    """What candidates are ranked by under an objective."""
    return lambda e: order(e, objective(name, POWER), LINK.rtt_s)


def test_latency_trusts_a_measurement_more_than_an_estimate() -> None:
    """Where trial frames were sent their time counts."""
    slow, other = (estimate(Candidate(k, "raw", 10), SPEEDS, LINK) for k in (0, 2))
    assert min((slow, other), key=_order()) is slow
    slow = replace(slow, measured_s=9.0)
    assert min((slow, other), key=_order()) is other


def test_equals_go_to_the_faster_and_then_to_the_one_that_sends_less() -> None:
    """Three candidates equal in throughput are told apart by latency, two equal there by bytes."""
    slow = Estimate(Candidate(1, "a", 5), prefix_s=0.1, encode_s=0.1, suffix_s=0.2)
    fast = Estimate(Candidate(2, "b", 9), suffix_s=0.2)
    small = Estimate(Candidate(2, "c", 5), suffix_s=0.2)
    assert min((slow, fast, small), key=_order("throughput")) is small
    assert min((slow, fast), key=_order("throughput")) is fast


def test_of_equals_in_everything_else_the_one_that_sends_less_comes_first() -> None:
    """The fastest comes first whatever its place in the list; equal times are decided by bytes."""
    first, same, slower = (
        Estimate(Candidate(1, "raw", size), prefix_s=s) for size, s in ((1, 0.1), (2, 0.1), (0, 0.3))
    )
    assert sorted((slower, same, first), key=_order()) == [first, same, slower]


def test_an_unknown_objective_is_refused() -> None:
    """The sentence lists the known ones."""
    with pytest.raises(InputError, match="unknown objective 'cost'") as caught:
        objective("cost")
    assert all(name in str(caught.value) for name in ("latency", "throughput", "bytes", "energy"))


def test_a_factory_that_makes_no_objective_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the objective; no traceback comes from within the choice."""
    monkeypatch.setitem(OBJECTIVES._loaded, "odd", lambda _power: 7)
    with pytest.raises(InputError, match="'odd' gives a int"):
        objective("odd")


def test_frames_that_never_overlap_are_judged_by_latency() -> None:
    """Throughput assumes frames that overlap; those of a model with state do not. Other objectives stay."""
    plan = affine_chain().plan
    remembering = replace(plan, state=(StateLink("y", "x"),))
    assert objective_for(plan, objective("throughput")).name == "throughput"
    assert objective_for(remembering, objective("throughput")).name == "latency"
    assert objective_for(remembering, objective("energy")).name == "energy"
