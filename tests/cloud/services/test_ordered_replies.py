"""Replies in the order of their frames."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.cloud.services.ordered_replies import OrderedReplies


class Out:
    """Where replies are written; may be closed for a while."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, reply: bytes) -> None:
        await self.open.wait()
        self.written.append(reply)


async def idle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Play a scenario on a loop of its own."""
    asyncio.run(scenario)


def test_a_reply_that_is_ready_is_written_at_once() -> None:
    """Without any other task."""

    async def scenario() -> None:
        out, before = Out(), len(asyncio.all_tasks())
        async with OrderedReplies(out.write, 4) as replies:
            await replies.put(b"a")
            assert (out.written, len(asyncio.all_tasks())) == ([b"a"], before)

    run(scenario())


@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=12), st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_replies_are_written_in_order_whenever_they_are_ready(plan: list[int | None], window: int) -> None:
    """Some ready at once, some promised and kept later in any order: they leave as they came, and none is lost."""

    async def scenario() -> None:
        out, loop = Out(), asyncio.get_running_loop()
        promises = {i: loop.create_future() for i, delay in enumerate(plan) if delay is not None}

        async def keep() -> None:
            for i in sorted(promises, key=lambda i: (plan[i], -i)):
                await asyncio.sleep(0)
                promises[i].set_result(b"%d" % i)

        keeping = asyncio.create_task(keep())
        async with OrderedReplies(out.write, window) as replies:
            for i in range(len(plan)):
                await replies.put(promises.get(i, b"%d" % i))
        await keeping
        assert out.written == [b"%d" % i for i in range(len(plan))]

    run(scenario())


def test_a_reader_that_does_not_read_stops_the_frames() -> None:
    """When as many replies as the window holds are unwritten, the next put waits until one is."""

    async def scenario() -> None:
        out = Out()
        out.open.clear()
        put = 0

        async def frames() -> None:
            nonlocal put
            async with OrderedReplies(out.write, 8) as replies:
                for i in range(100):
                    promise = asyncio.get_running_loop().create_future()
                    promise.set_result(b"%d" % i)
                    await replies.put(promise)
                    put = i + 1

        task = asyncio.create_task(frames())
        await idle()
        assert 8 <= put <= 9
        out.open.set()
        await task
        assert out.written == [b"%d" % i for i in range(100)]

    run(scenario())


def test_a_window_counts_bytes_too() -> None:
    """Frames of 40 bytes: the third goes beyond a hundred, and no more are taken until one is answered."""

    async def scenario() -> None:
        out, loop = Out(), asyncio.get_running_loop()
        promises = [loop.create_future() for _ in range(10)]
        put = 0

        async def frames() -> None:
            nonlocal put
            async with OrderedReplies(out.write, 64, 100) as replies:
                for promise in promises:
                    await replies.put(promise, 40)
                    put += 1

        task = asyncio.create_task(frames())
        for answered in range(8):
            await idle()
            assert put == 2 + answered
            promises[answered].set_result(b"%d" % answered)
        for promise in promises[8:]:
            promise.set_result(b"end")
        await task
        assert len(out.written) == 10

    run(scenario())


@pytest.mark.parametrize("waiting", [1, 5, 9, 10])
def test_promises_nobody_waits_for_are_given_up(waiting: int) -> None:
    """Cancelled while replies are outstanding, each of them is cancelled and nothing keeps running."""

    async def scenario() -> None:
        out, loop = Out(), asyncio.get_running_loop()
        promises = [loop.create_future() for _ in range(waiting)]

        async def frames() -> None:
            async with OrderedReplies(out.write, 8) as replies:
                for promise in promises:
                    await replies.put(promise)
                await asyncio.Event().wait()

        before = asyncio.all_tasks()
        task = asyncio.create_task(frames())
        await idle()
        task.cancel()
        await asyncio.wait([task])
        await idle()
        assert all(promise.cancelled() for promise in promises)
        assert asyncio.all_tasks() == before

    run(scenario())


def test_leaving_while_the_last_replies_are_outstanding_gives_them_up() -> None:
    """Cancelled behind the last frame, while the rest is being written, nothing is left behind either."""

    async def scenario() -> None:
        out, loop = Out(), asyncio.get_running_loop()
        promises = [loop.create_future() for _ in range(5)]

        async def frames() -> None:
            async with OrderedReplies(out.write, 4) as replies:
                for promise in promises:
                    await replies.put(promise)

        before = asyncio.all_tasks()
        task = asyncio.create_task(frames())
        await idle()
        task.cancel()
        await asyncio.wait([task])
        await idle()
        assert all(promise.cancelled() for promise in promises)
        assert asyncio.all_tasks() == before

    run(scenario())
