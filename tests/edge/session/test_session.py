"""Session: opens a model for a program that blocks or one that awaits, and refuses what cannot be opened."""

import asyncio
import inspect
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.digit_frames import LABELS, digits, labels

from partway.edge import Session
from partway.edge.pipeline.result import FrameResult
from partway.errors import InputError
from partway.partitioner.zoo import model_folder

Array = np.ndarray[Any, Any]
ROOT = Path(__file__).parents[3]
GRPC_THREAD = "_poll_wrapper"
"""gRPC's own thread, one a process, which it keeps once it was used."""


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

    before = set(threading.enumerate())
    with pytest.raises(InputError, match=says):
        if form == "with":
            with Session(**options):
                pass
        else:
            asyncio.run(opened())
    started = [thread for thread in threading.enumerate() if thread not in before and GRPC_THREAD not in thread.name]
    for thread in started:
        thread.join(10)
    assert not [thread.name for thread in started if thread.is_alive()]


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


def test_the_page_names_every_argument_and_no_other() -> None:
    """docs/library.md has a table of arguments; each is one of Session's."""
    _, _, table = (ROOT / "docs/library.md").read_text().partition("\n| arguments | type |\n")
    rows = re.findall(r"^\| (`.*?) \| ", table.partition("\n\n")[0], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(inspect.signature(Session).parameters) - {"model"}
