"""The library: a model opened by a program, asked by one that blocks and by one that awaits."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from partway.edge import OpenSession, Session
from partway.edge.pipeline.result import FrameResult
from partway.edge.sources.files import Sample
from partway.edge.sources.samples import sample_of
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

Array = np.ndarray[Any, Any]
ROOT = Path(__file__).parents[3]
PLAN = load_plan(model_folder("mnist"))
DIGITS = sorted((model_folder("mnist") / "samples").glob("*-nib-chalk.png"))
LABELS = [path.name[0] for path in DIGITS]


@cache
def digits() -> list[Array]:
    """The sample digits as the model's own pixels."""
    found = [sample_of(path, PLAN, "digit").pixels for path in DIGITS]
    return [pixels for pixels in found if pixels is not None]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSession]:
    """A session whose answers come from a cloud in another process."""
    with Session("mnist", cloud="embedded", split="1", cache=tmp_path_factory.mktemp("cache")) as session:
        yield session


def labels(results: Any) -> list[str]:
    return [result.top[0][0] for result in results]


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
        ({"picture": np.zeros(3)}, r"lacks the model's input image; mnist takes image float32 \[1, 1, 28, 28\]"),
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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "mnits"}, "did you mean mnist"),
        ({"model": "mnist", "cloud": "127.0.0.1:1", "timeout_s": 0.2}, "no cloud answers"),
        ({"model": "mnist", "split": "nowhere", "cloud": "none"}, "no cut is called 'nowhere'"),
        ({"model": "mnist", "codec": "zip"}, "unknown codec"),
        ({"model": "mnist", "window": 0}, "window must be 1 to 64"),
        ({"model": "mnist", "objective": "beauty"}, "unknown objective"),
    ],
)
@pytest.mark.parametrize("form", ["with", "async with"])
def test_what_cannot_be_opened_is_one_sentence(options: dict[str, Any], says: str, form: str) -> None:
    """In both forms, and nothing stays open."""

    async def opened() -> None:
        async with Session(**options):
            pass

    before = threading.active_count()
    with pytest.raises(InputError, match=says):
        if form == "with":
            with Session(**options):
                pass
        else:
            asyncio.run(opened())
    for thread in threading.enumerate():
        if thread.name.startswith("partway"):
            thread.join(10)
    assert threading.active_count() <= before + 1


def test_tasks_that_ask_together_are_answered_each_its_own() -> None:
    """Answers find who asked; a bad input is told to who gave it; one that is cancelled costs nobody anything."""

    async def source() -> AsyncIterator[Array]:
        for picture in digits():
            await asyncio.sleep(0)
            yield picture

    async def scenario() -> None:
        async with Session("mnist", cloud="embedded", split="2") as session:
            asked: list[Any] = [*digits(), "nowhere.png", *digits()]
            said = await asyncio.gather(*map(session.infer, asked), return_exceptions=True)
            bad = said.pop(len(digits()))
            assert isinstance(bad, InputError)
            assert labels(said) == LABELS * 2
            assert {result.answered_by for result in said if isinstance(result, FrameResult)} == {"cloud"}
            cancelled = asyncio.ensure_future(session.infer(digits()[0]))
            await asyncio.sleep(0)
            cancelled.cancel()
            assert labels([result async for result in session.run(digits() * 20)]) == LABELS * 20
            assert labels([result async for result in session.run(source())]) == LABELS
            with pytest.raises(InputError):
                async for _ in session.run([digits()[0], 7]):  # type: ignore[list-item]
                    pass
        with pytest.raises(RuntimeError, match="closed"):
            await session.infer(digits()[0])

    asyncio.run(scenario())


def test_the_event_loop_stays_free_while_a_session_opens_and_answers() -> None:
    """The loop goes on turning: opening and inferring happen in the worker."""

    async def scenario() -> int:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        turning = asyncio.ensure_future(turn())
        async with Session("mnist", cloud="none") as session:
            assert labels([result async for result in session.run(digits())]) == LABELS
        turning.cancel()
        return turns

    assert asyncio.run(scenario()) > 3


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs/library.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", examples(), ids=range(len(examples())))
def test_every_example_of_the_page_runs(example: str, tmp_path: Path) -> None:
    """As written, in a folder with a picture of a three; warnings count as errors."""
    three = next((model_folder("mnist") / "samples").glob("3-*.png"))
    (tmp_path / "picture.png").write_bytes(three.read_bytes())
    command = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_names_are_where_they_are_announced() -> None:
    """partway.edge hands out its names, and no others."""
    import partway.edge

    for name in partway.edge.__all__:
        assert getattr(partway.edge, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Sessoin'"):
        partway.edge.Sessoin  # noqa: B018
