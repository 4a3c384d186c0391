"""An open session: it answers what a program has in hand, in order, for one thread, until it is closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.digit_frames import DIGITS, LABELS, PLAN, digits, labels

from partway.edge import OpenSession, Session
from partway.edge.options import Options
from partway.edge.pipeline.result import FrameResult
from partway.edge.session.opened import _Source, check_process, forked
from partway.edge.session.run import Run
from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import FrameQueue
from partway.edge.sources.samples import sample_of
from partway.errors import InputError
from partway.partitioner.zoo import model_folder

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSession]:
    """A session whose answers come from a cloud in another process."""
    with Session("mnist", cloud="embedded", split="1", cache=tmp_path_factory.mktemp("cache")) as session:
        yield session


def test_one_picture_is_answered_by_the_cloud(ours: OpenSession) -> None:
    """A path in, a label out, with the parts of the time and who answered."""
    result = ours.infer(DIGITS[0])
    assert isinstance(result, FrameResult)
    assert (result.top[0][0], result.answered_by, result.cut) == (LABELS[0], "cloud", 1)
    assert set(result.outputs) == set(PLAN.outputs)


def _tensor(pixels: Array) -> Array:
    (tensor,) = Sample("x", pixels).tensors(_preprocess()).values()
    return np.asarray(tensor)


def _preprocess() -> Any:
    from partway.partitioner.plan.preprocess import Preprocess

    return Preprocess.from_json(PLAN.input)


@pytest.mark.parametrize(
    "form",
    [
        str,
        Path,
        Image.open,
        lambda path: digits()[DIGITS.index(path)],
        lambda path: digits()[DIGITS.index(path)][:, :, 0],
        lambda path: digits()[DIGITS.index(path)][None],
        lambda path: _tensor(digits()[DIGITS.index(path)]),
        lambda path: _tensor(digits()[DIGITS.index(path)])[0].astype(np.float64),
        lambda path: {"image": _tensor(digits()[DIGITS.index(path)]), "other": np.zeros(3)},
        lambda path: {"image": _tensor(digits()[DIGITS.index(path)])[0].tolist()},
        lambda path: sample_of(path, PLAN, "digit"),
    ],
    ids=["text", "path", "Pillow", "HxWx1", "HxW", "1xHxWx1", "tensor", "CxHxW", "mapping", "lists", "sample"],
)
def test_inputs_of_every_kind_mean_the_same(form: Callable[[Path], Any], ours: OpenSession) -> None:
    """However a digit is handed in, the answer is that of its file."""
    expected = ours.infer(DIGITS[-1]).outputs
    for name, array in ours.infer(form(DIGITS[-1])).outputs.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "cannot infer on a int; give a picture"),
        ("nowhere.png", "does not exist"),
        (model_folder("mnist") / "samples", "holds 30 frames; give one picture at a time"),
        (np.zeros((2, 28, 28), np.float32), r"must be \[1, 1, 28, 28\] \(one frame\)"),
        (np.zeros((4, 1, 28, 28), np.float32), "one frame"),
        (np.zeros((28, 28), np.float32), r"not \[28, 28\]"),
        (np.array(["a"]), "must be numbers"),
        ({"picture": np.zeros(3)}, r"lacks .* image; it holds picture; mnist takes image float32 \[1, 1, 28, 28\]"),
    ],
)
def test_what_does_not_fit_is_one_sentence(given: Any, says: str, ours: OpenSession) -> None:
    """The caller is told what would fit, and the session goes on."""
    with pytest.raises(InputError, match=says):
        ours.infer(given)
    assert ours.infer(DIGITS[1]).top[0][0] == LABELS[1]


def test_many_answers_come_in_order_with_ids_of_their_own(ours: OpenSession) -> None:
    """Every input once, in order; no id comes twice in a session."""
    first, second = list(ours.run(digits() * 3)), list(ours.run(digits()))
    assert labels(first) == LABELS * 3
    assert labels(second) == LABELS
    ids = [result.id for result in first + second]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_several_frames_in_one_request_change_no_answer() -> None:
    """With a batch, more frames than one request holds are answered in order, and one alone is, too."""
    with Session("mnist", cloud="embedded", split="1", codec="raw", batch=4, window=2, threads=1) as session:
        assert labels(session.run(digits() * 2)) == LABELS * 2
        result = session.infer(DIGITS[3])
        assert (result.top[0][0], result.answered_by) == (LABELS[3], "cloud")


def test_a_link_that_is_asked_for_decides() -> None:
    """bandwidth_bps and rtt_s take the place of what was measured, as numbers or as text."""
    with Session("mnist", cloud="embedded", bandwidth_bps="10kbps", rtt_s=0.3, threads=1) as session:
        assert not session.decision.link_measured
        assert session.decision.chosen.candidate.codec is None


def test_inputs_are_taken_as_answers_are(ours: OpenSession) -> None:
    """A source without end is read no further than the window ahead."""
    taken: list[int] = []

    def endless() -> Iterator[Array]:
        picture = digits()[0]
        while True:
            taken.append(1)
            yield picture

    results = ours.run(endless())
    for _ in range(10):
        next(results)
    assert len(taken) <= 10 + 64
    assert ours.infer(DIGITS[3]).top[0][0] == LABELS[3], "a run that was left half-way leaves nothing behind"


def test_an_input_that_cannot_be_read_comes_after_the_answers_before_it(ours: OpenSession) -> None:
    """Three answers, then the sentence; the source's own errors likewise."""

    def broken() -> Iterator[Any]:
        yield from digits()[:3]
        raise LookupError("the camera is gone")

    assert _until(InputError, ours, [*digits()[:3], "nowhere.png", digits()[4]]) == LABELS[:3]
    assert _until(LookupError, ours, broken()) == LABELS[:3]


def _until(error: type[Exception], session: OpenSession, source: Any) -> list[str]:
    found: list[str] = []
    try:
        for result in session.run(source):
            found.append(result.top[0][0])
    except error:
        return found
    raise AssertionError("nothing was raised")


def test_a_session_is_for_one_thread(ours: OpenSession) -> None:
    """Another thread is told so, rather than breaking the stream."""
    said: list[BaseException] = []

    def use() -> None:
        try:
            ours.infer(DIGITS[0])
        except RuntimeError as error:
            said.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "for the thread that opened it" in str(said[0])


def test_a_closed_session_says_so() -> None:
    """After its end there are no answers."""
    with Session("mnist", cloud="none") as session:
        assert session.infer(DIGITS[2]).answered_by == "device"
    with pytest.raises(RuntimeError, match="closed"):
        session.infer(DIGITS[2])


def test_a_session_without_a_cloud_takes_what_comes_when_it_comes() -> None:
    """Arrivals get ids that go on from those of earlier runs."""
    with Session("mnist", cloud="none", threads=1) as session:
        first = session.infer(digits()[0])
        with FrameQueue([sample_of(path, PLAN, path.name) for path in DIGITS[1:]]) as arrivals:
            results = list(session.answers(arrivals))
        assert labels(results) == LABELS[1:]
        assert [result.id for result in [first, *results, session.infer(digits()[0])]] == list(range(len(DIGITS) + 1))


def test_what_cannot_be_opened_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails while it opens is closed before the error is passed on."""
    closed: list[Run] = []
    close = Run.close
    monkeypatch.setattr(Run, "close", lambda run: (closed.append(run), close(run)))
    with pytest.raises(InputError, match="did you mean mnist"):
        OpenSession(Options("mnits", cloud="none"))
    assert len(closed) == 1


def test_a_session_of_another_process_is_told_so() -> None:
    """Closing it there is no error: it is the parent's to close."""
    assert not forked(os.getpid())
    assert forked(os.getppid())
    check_process(os.getpid())
    with pytest.raises(RuntimeError, match=f"belongs to process {os.getppid()}, from which this one was forked"):
        check_process(os.getppid())


def test_inputs_end_at_the_first_that_cannot_be_read() -> None:
    """Its error is kept for after the answers before it, and no input behind it is taken."""
    taken: list[int] = []

    def given() -> Iterator[Any]:
        for number, each in enumerate([digits()[0], "nowhere.png", digits()[1]]):
            taken.append(number)
            yield each

    source = _Source(given(), PLAN, 5)
    assert [sample.name for sample in source] == ["frame 5"]
    assert isinstance(source.error, InputError)
    assert (source.next_id, taken) == (6, [0, 1])
    assert list(source) == []
