"""Live sources that come back: pauses, lines and numbers."""

from collections.abc import Iterator
from itertools import islice

import pytest

from partway.edge.sources.cameras import reopening
from partway.edge.sources.cameras.reopening import Read, Unreachable
from partway.edge.sources.files import Sample
from partway.errors import InputError


class Opened:
    """A feed that gives so many frames."""

    def __init__(self, frames: int) -> None:
        self.frames, self.closed = frames, False

    def next(self) -> Read:
        """See Feed."""
        if not self.frames:
            raise InputError("unplugged")
        self.frames -= 1
        return Sample

    def close(self) -> None:
        """See Feed."""
        self.closed = True


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which take no time."""
    made: list[float] = []
    monkeypatch.setattr(reopening.time, "sleep", made.append)
    return made


def feeds(*frames: int | None) -> Iterator[Opened]:
    """A feed for each number of frames; None: the source cannot be opened."""
    for count in frames:
        if count is None:
            yield None  # type: ignore[misc]
        else:
            yield Opened(count)


def opener(*frames: int | None):  # type: ignore[no-untyped-def]
    made, each = [], feeds(*frames)

    def open_feed() -> Opened:
        feed = next(each)
        if feed is None:
            raise Unreachable("cam cannot be reached")
        made.append(feed)
        return feed

    return open_feed, made


def test_pauses_grow_until_a_frame_comes(pauses: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """A source that opens and gives nothing is as lost as one that does not open: no pause begins anew before."""
    open_feed, made = opener(2, None, None, 0, None, 1, 5)
    items = reopening.reopening("cam", open_feed)
    assert [next(items).read().name for _ in range(4)] == [f"cam[{index}]" for index in range(4)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 0.5]
    assert [message.split(" (")[0].split(" after")[0] for message in caplog.messages] == [
        "cam is lost",
        "cam answers",
    ] * 2
    assert "cam is lost after 2 frames (unplugged); trying again" in caplog.messages
    assert [feed.closed for feed in made] == [True, True, True, False]
    items.close()  # type: ignore[attr-defined]
    assert made[-1].closed


def test_pauses_have_a_limit(pauses: list[float]) -> None:
    """A camera that is off for a night is back within the longest pause."""
    open_feed, _ = opener(1, *[None] * 10, 1)
    list(islice(reopening.reopening("cam", open_feed), 2))
    assert max(pauses) == reopening.MOST_WAIT_S


def test_only_what_may_answer_later_is_waited_for(pauses: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """A service waits for a camera that is off, in the items; a mistake ends it at once."""
    open_feed, _ = opener(None, None, 3)
    with pytest.raises(Unreachable):
        reopening.reopening("cam", open_feed)

    def mistaken() -> Opened:
        raise InputError("no such path")

    with pytest.raises(InputError, match="no such path"):
        reopening.reopening("cam", mistaken, patient=True)
    open_feed, made = opener(None, None, 3)
    items = list(islice(reopening.reopening("cam", open_feed, patient=True), 3))
    assert made == []
    assert [item.late for item in items] == [True] * 3
    assert [item.read().name for item in items] == ["cam[0]", "cam[1]", "cam[2]"]
    assert caplog.messages[0] == "cam cannot be reached; waiting for it"
