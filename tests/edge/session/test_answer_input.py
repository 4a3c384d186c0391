"""The frames of ``--input``: read one by one or ahead, answered, and counted in the run's report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.support.affine import affine_chain, samples
from tests.support.wired import OneFakeCloud, wired

from partway.edge.options import Options
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.run_json import RunReport
from partway.edge.session.answer_input import SLOW_READ_S, answer_input, new_run_report, queue_policy, readable
from partway.edge.session.run import Ready
from partway.edge.sources.files import Item, Sample
from partway.edge.sources.open_inputs import RunInput
from partway.edge.transport.fake import FakeCloud
from partway.errors import InputError


@pytest.fixture
def ready() -> Iterator[Ready]:
    """A run on a fake cloud that answers everything at once."""
    cloud = FakeCloud(affine_chain())
    with ExitStack() as stack:
        yield wired(cloud, stack, OneFakeCloud(cloud))


def item(name: str, bad: bool = False) -> Item:
    """An item that can be read, or raises its own name."""

    def read() -> Sample:
        if bad:
            raise InputError(name)
        return Sample(name)

    return Item(name, read)


def answered_by(ready: Ready, source: Iterator[Sample], policy: str | None, **hooks: Any) -> RunReport:
    """The report of a run over this source."""
    run_report = new_run_report(ready, Options("affine"))
    answer_input(ready, run_report, source, policy, hooks.pop("answered", lambda _: None), **hooks)
    return run_report


def test_items_that_cannot_be_read_are_reported_and_cost_no_other() -> None:
    """The rest comes in order; each that was read is told."""
    errors: list[str] = []
    reads: list[int] = []
    items = [item("a"), item("bad", bad=True), item("c")]
    names = [s.name for s in readable(items, lambda error: errors.append(str(error)), lambda: reads.append(1))]
    assert (names, errors, len(reads)) == (["a", "c"], ["bad"], 2)


def test_pictures_in_memory_are_kept_only_to_be_drawn_on() -> None:
    """A camera's frames are megabytes each."""
    pixels = np.zeros((9, 9, 3), np.uint8)
    items = [Item("a", lambda: Sample("a", pixels, original=pixels))]
    for pictures in (True, False):
        (sample,) = readable(items, pytest.fail, pictures=pictures)
        assert (sample.original is pixels) == pictures


def test_the_report_gets_what_saving_returns(ready: Ready) -> None:
    """So the names of the files are in JSON, and what prints a frame gets the same."""
    seen: list[FrameResult] = []
    found = answered_by(
        ready, iter(samples(2)), None, answered=seen.append, save=lambda r: replace(r, files={"outputs_file": "x"})
    )
    assert [frame["outputs_file"] for frame in found.results.frames()] == ["x", "x"]
    assert [result.files for result in seen] == [{"outputs_file": "x"}] * 2


def test_reading_ends_when_it_is_told_to() -> None:
    """Before the next item is read, not after."""
    read: list[str] = []
    items = [Item(name, lambda name=name: read.append(name) or Sample(name)) for name in "abc"]  # type: ignore[misc]
    found = [sample.name for sample in readable(items, lambda _: None, ended=lambda: len(read) == 2)]
    assert found == read == ["a", "b"]


@pytest.mark.parametrize(
    ("when_behind", "read_s", "waits", "policy"),
    [
        ("block", 0.0, False, None),
        ("block", SLOW_READ_S, False, None),
        ("block", SLOW_READ_S * 1.01, False, "block"),
        ("block", 0.0, True, "block"),
        ("drop-oldest", 0.0, False, "drop-oldest"),
        ("drop-newest", 1.0, True, "drop-newest"),
    ],
)
def test_a_queue_stands_where_reading_takes_long(
    when_behind: str, read_s: float, waits: bool, policy: str | None
) -> None:
    """Slow files, sources that wait for something, and policies that drop; quick files are read at their turn."""
    source = RunInput(item("a"), iter(()), 1, read_s, waits)
    assert queue_policy(source, Options("affine", when_behind=when_behind)) == policy


@pytest.mark.parametrize("policy", [None, "block"])
def test_every_sample_is_answered_and_counted(policy: str | None, ready: Ready) -> None:
    """With and without a queue: the same results, each handed on once."""
    seen: list[FrameResult] = []
    report = answered_by(ready, iter(samples(6)), policy, answered=seen.append)
    assert [result.id for result in seen] == list(range(6))
    summary = report.to_json()["summary"]
    assert (summary["answered"], summary["by_cloud"], summary["dropped"]) == (6, 6, 0)
    assert report.wall_s > 0
    assert not report.interrupted


def test_ctrl_c_keeps_what_was_answered(ready: Ready) -> None:
    """The run counts as interrupted, and nothing is raised."""

    def answered(result: FrameResult) -> None:
        if result.id == 2:
            raise KeyboardInterrupt

    report = answered_by(ready, iter(samples(6)), None, answered=answered)
    assert report.interrupted
    assert [frame["id"] for frame in report.to_json()["frames"]] == [0, 1, 2]


def test_other_errors_are_not_swallowed(ready: Ready) -> None:
    """A bug of the source is told, through the queue too."""

    def broken() -> Iterator[Sample]:
        yield samples(1)[0]
        raise LookupError("the camera is gone")

    for policy in (None, "block"):
        with pytest.raises(LookupError, match="camera"):
            answered_by(ready, broken(), policy)


def test_reading_can_be_ended_from_outside(ready: Ready) -> None:
    """What a signal's handler is given ends a source that never would; frames that were read are answered."""
    end: list[Callable[[], None]] = []

    def endless() -> Iterator[Sample]:
        while True:
            yield from samples(1)

    def answered(result: FrameResult) -> None:
        if result.id == 3:
            end[0]()

    report = answered_by(ready, endless(), "block", answered=answered, on_end=end.append)
    assert report.results.summary(1.0)["answered"] >= 4


def test_without_a_queue_there_is_nothing_to_end(ready: Ready) -> None:
    """The reader looks for itself; the handler may call all the same."""
    end: list[Callable[[], None]] = []
    report = answered_by(ready, iter(samples(2)), None, on_end=end.append)
    end[0]()
    assert report.results.summary(1.0)["answered"] == 2


def test_the_report_has_the_runs_own_parts(ready: Ready) -> None:
    """Changes and audits are those of the running pipeline; without frames kept, they are counted alone."""
    report = new_run_report(ready, Options("affine", notes=("power: test",)), keep_frames=False)
    assert (report.plan, report.engine, report.notes) == (ready.opened.chain.plan, "affine", ("power: test",))
    assert report.changes is ready.pipeline.controller.changes
    assert report.audits is ready.pipeline.audits
    answer_input(ready, report, iter(samples(4)), None, lambda _: None)
    made = report.to_json()
    assert (made["frames"], made["summary"]["answered"]) == ([], 4)
