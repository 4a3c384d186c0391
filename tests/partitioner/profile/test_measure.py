"""Measuring a chain, on a clock that does as it is told."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.plan.chain import Chain, load_chain
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.profile.measure import (
    BUSY_SPREAD,
    SCHEDSTAT,
    Round,
    check_quiet,
    machine_name,
    measure,
    processor_waits,
    sample_values,
    spread,
    stage_times,
)
from partway.proto.tensors import TensorSpec


class Clock:
    """A clock that stages advance, and that every look at it advances too little to matter."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Stage:
    """A stage that takes a given time on the fake clock."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, clock: Clock, *seconds: float) -> None:
        self.clock, self.seconds, self.runs = clock, seconds, 0

    def run(self, values: Any) -> dict[str, Any]:
        self.clock.sleep(self.seconds[min(self.runs, len(self.seconds) - 1)])
        self.runs += 1
        return {}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time as the profile and the chain see it."""
    made = Clock()
    monkeypatch.setattr("partway.partitioner.profile.measure.perf_counter", made)
    monkeypatch.setattr("partway.partitioner.plan.chain.perf_counter", made)
    return made


@pytest.fixture
def fake_chain(fake_plan: Path) -> Chain:
    """Three fake stages."""
    return load_chain(load_plan(fake_plan), engine_for("fake"), lambda stage: read_stage(fake_plan, stage))


def test_each_stage_is_measured_by_itself(fake_chain: Chain, clock: Clock) -> None:
    """The median of each stage is what the stage takes, and a steady machine has no spread."""
    stages: list[Any] = [Stage(clock, 0.001), Stage(clock, 0.004), Stage(clock, 0.002)]
    times = measure(Chain(fake_chain.plan, stages), {}, budget_s=0.1)
    assert times.stage_s == pytest.approx((0.001, 0.004, 0.002))
    assert times.spread == pytest.approx(0.0, abs=1e-9)


def test_the_first_rounds_only_warm_up(fake_chain: Chain, clock: Clock) -> None:
    """Two slow rounds at the start do not count."""
    times = measure(Chain(fake_chain.plan, [Stage(clock, 9.0, 9.0, 0.001)]), {}, budget_s=0.1)
    assert times.stage_s == pytest.approx((0.001,))


@pytest.mark.parametrize(("stage_s", "runs"), [(10.0, 5), (0.01, 20), (0.0001, 200)])
def test_measuring_keeps_to_its_budget(fake_chain: Chain, clock: Clock, stage_s: float, runs: int) -> None:
    """A slow model is run five times, a fast one two hundred, others as often as fit into the budget."""
    times = measure(Chain(fake_chain.plan, [Stage(clock, stage_s)]), {}, budget_s=0.2 - 1e-9)
    assert times.runs == runs


@pytest.mark.parametrize(("seconds", "expected"), [([1, 1, 1], 0.0), ([1, 2, 3, 4, 5], 2 / 3), ([0, 0], 0.0)])
def test_spread_is_the_interquartile_range_over_the_median(seconds: list[float], expected: float) -> None:
    """A quiet machine has none, whatever the unit."""
    assert spread(seconds) == pytest.approx(expected)
    assert spread([value * 1000 for value in seconds]) == pytest.approx(expected)


def test_the_same_seed_gives_the_same_sample(fake_chain: Chain) -> None:
    """Made-up inputs are reproducible and differ by seed."""
    first, again, other = (sample_values(fake_chain, seed)["x"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_machine_without_a_name_has_an_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the operating system tells nothing of the processor, its architecture stands in."""
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert machine_name() == "riscv64"

    def unreadable(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", unreadable)
    assert machine_name() == "riscv64"


def test_a_busy_machine_is_refused_and_a_quiet_one_is_not(fake_chain: Chain, clock: Clock) -> None:
    """Half the rounds three times as slow are too much, one round in ten is not; the sentence says what to do."""
    uneven: list[Any] = [Stage(clock, *[0.001, 0.003] * 50)]
    times = measure(Chain(fake_chain.plan, uneven), {}, budget_s=0.1)
    assert times.spread > BUSY_SPREAD
    with pytest.raises(InputError, match=r"machine was busy.*stop other work and try again"):
        check_quiet(replace(times, waited=0.0))
    steady: list[Any] = [Stage(clock, *[*[0.001] * 9, 0.003] * 10)]
    times = measure(Chain(fake_chain.plan, steady), {}, budget_s=0.1)
    check_quiet(replace(times, waited=0.0))


def test_a_machine_that_is_busy_all_the_time_is_refused_too() -> None:
    """Every run is slowed down alike, so there is no spread; but half of the runs waited for a processor."""
    rounds = [Round((0.1, 0.1), 0.0)] * 4 + [Round((0.1, 0.1), 0.1)] * 5
    times = stage_times(rounds)
    assert (times.spread, times.waited) == (0.0, 0.5)
    with pytest.raises(InputError, match=r"waited for a processor.*stop other work and try again"):
        check_quiet(times)
    check_quiet(stage_times(rounds[:7]))


def test_the_system_says_how_long_a_thread_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In seconds, of nanoseconds in a file that may be missing."""
    file = tmp_path / "schedstat"
    file.write_text("10 1500000000 3\n")
    monkeypatch.setattr("partway.partitioner.profile.measure.SCHEDSTAT", str(file))
    with processor_waits() as waited_s:
        assert waited_s() == pytest.approx(1.5)
        file.write_text("10 2500000000 3\n")
        assert waited_s() == pytest.approx(2.5)
    file.unlink()
    with processor_waits() as waited_s:
        assert waited_s() == 0.0


@pytest.mark.skipif(not Path(SCHEDSTAT).exists(), reason="this system does not tell")
def test_a_thread_that_shares_its_processor_waits() -> None:
    """Two processes on one processor: one of them is not told that it waited for nothing."""
    allowed = os.sched_getaffinity(0)
    spin = f"import os\nos.sched_setaffinity(0, {{{min(allowed)}}})\nprint(flush=True)\nwhile True: pass"
    other = subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline()
        os.sched_setaffinity(0, {min(allowed)})
        with processor_waits() as waited_s:
            before_s, until_s = waited_s(), time.perf_counter() + 5
            while waited_s() == before_s and time.perf_counter() < until_s:
                sum(range(10_000))
            assert waited_s() > before_s
    finally:
        os.sched_setaffinity(0, allowed)
        other.kill()
        other.communicate()
