"""One step of a batch: values are joined, run and taken apart; a frame that fails does not harm the others."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.cloud.conftest import X, Y
from tests.support.served import served

from partway.cloud.answer import Route
from partway.cloud.batching.execute import Job, Rows, joined, run_batch
from partway.cloud.batching.scheduler import BatchRun
from partway.cloud.models.repository import ServedModel
from partway.engines.interface import OutOfMemory
from partway.proto.frame import Frame
from partway.proto.header import Header
from partway.proto.tensors import Values

Array = np.ndarray[Any, Any]


def job(model: ServedModel, *values: float) -> Job:
    """A decoded frame with one row for each value."""
    route = Route(model, 0, "raw", None, None, ("y",))
    frame = Frame(Header(model.plan.model, (), (), ""), "7", ())
    made = Job(model.plan.model, object(), 0, 0.0, route=route, frame=frame, settle=lambda _: lambda: None)
    made.rows = len(values)
    array = np.repeat(np.array(values, np.float32)[:, None], 4, 1)
    made.at = Rows({"x": array}, 0, len(values), len(values))
    return made


def run(model: ServedModel, jobs: list[Job], halved: list[int] | None = None) -> list[Job]:
    """The jobs that are well after all stages."""
    step = BatchRun(tuple(jobs), 0, 1, tuple(jobs))
    return run_batch(model, step, jobs, (halved if halved is not None else []).append)


def double(values: Values) -> Mapping[str, Array]:
    """Twice the input; a row of 13 fails, and more than two rows find no memory where 99 is among them."""
    x = values["x"]
    if (x == 13).any():
        raise RuntimeError("a secret")
    if (x == 99).any() and len(x) > 2:
        raise OutOfMemory("too many rows")
    return {"y": x * 2}


@pytest.fixture
def model() -> ServedModel:
    """Doubles, or fails."""
    return replace(served("double", double, (X,), (Y,)), batched=range(1))


def test_each_frame_gets_its_own_rows(model: ServedModel) -> None:
    """Frames of one and of two rows run together and are answered apart."""
    jobs = [job(model, 1.0), job(model, 2.0, 3.0)]
    assert run(model, jobs) == jobs
    assert jobs[0].live()["y"].tolist() == [[2.0] * 4]
    assert jobs[1].live()["y"].tolist() == [[4.0] * 4, [6.0] * 4]


def test_only_the_frame_that_fails_is_refused(model: ServedModel) -> None:
    """The batch runs again frame by frame; the refusal does not quote the exception."""
    good, bad = job(model, 1.0), job(model, 13.0)
    assert run(model, [good, bad]) == [good]
    assert bad.refusal is not None and bad.refusal.code == "INTERNAL"
    assert "secret" not in str(bad.refusal)
    assert good.live()["y"].tolist() == [[2.0] * 4]


def test_a_batch_without_memory_runs_in_halves(model: ServedModel) -> None:
    """Whoever plans batches is told how many rows did not fit, and the answers are the same."""
    jobs, halved = [job(model, 1.0, 99.0), job(model, 2.0, 3.0)], []
    assert run(model, jobs, halved) == jobs
    assert halved == [4]
    assert jobs[1].live()["y"][:, 0].tolist() == [4.0, 6.0]


def test_neighbours_are_not_copied() -> None:
    """Rows that lie one after the other in one array stay a view of it; others are joined."""
    array = np.arange(6.0).reshape(3, 2)
    values = {"x": array}
    first, second = Rows(values, 0, 1, 3), Rows(values, 1, 3, 3)
    assert joined([first, second], ["x"], np.concatenate)["x"] is array
    assert np.shares_memory(joined([second], ["x"], np.concatenate)["x"], array)
    swapped = joined([second, first], ["x"], np.concatenate)["x"]
    assert swapped.tolist() == [[2.0, 3.0], [4.0, 5.0], [0.0, 1.0]]
