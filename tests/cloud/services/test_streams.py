"""Open streams end when the cloud leaves."""

import asyncio
from typing import Any

import grpc
import pytest

from partway.cloud.services import streams as module
from partway.cloud.services.streams import LEAVING, Streams, end_stream


class Context:
    """A call whose messages come from a queue, and which remembers how it was ended."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended: tuple[Any, str] | None = None

    async def read(self) -> bytes:
        return await self.messages.get()

    async def abort(self, code: Any, text: str) -> None:
        self.ended = code, text


def test_messages_on_their_way_are_read_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``leave`` a message that still arrives is read; then the reader is told that the cloud leaves."""
    monkeypatch.setattr(module, "LINGER_S", 0.05)

    async def play() -> list[Any]:
        streams, context = Streams(), Context()
        reading = asyncio.create_task(streams.read(context))
        await asyncio.sleep(0)
        streams.leave()
        context.messages.put_nowait(b"late")
        found = [await reading, await streams.read(context)]
        return [*found, await streams.read(context)]

    assert asyncio.run(play()) == [b"late", None, None]


def test_a_device_that_walks_away_is_not_taken_for_a_cloud_that_leaves() -> None:
    """A cancelled call stays cancelled as long as the cloud serves."""

    async def play() -> None:
        reading = asyncio.create_task(Streams().read(Context()))
        await asyncio.sleep(0)
        reading.cancel()
        await reading

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(play())


def test_the_device_is_told_why() -> None:
    """The call ends as unavailable, with the reason."""
    context = Context()
    asyncio.run(end_stream(context))
    assert context.ended == (grpc.StatusCode.UNAVAILABLE, LEAVING)
