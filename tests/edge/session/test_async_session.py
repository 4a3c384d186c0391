"""The awaiting form on a cloud that answers only when it is told to."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from tests.support.affine import affine_chain, runner_on, samples

from partway.edge.pipeline.result import FrameResult
from partway.edge.session.async_session import AsyncSession
from partway.edge.sources.frame_queue import Arrivals
from partway.edge.transport.fake import FakeCloud, answer_all
from partway.partitioner.decide.estimate import Candidate


class Patient(FakeCloud):
    """Polling it takes a moment, as polling a real one does; answers when ``free``."""

    free = False

    def poll(self, wait_s: float) -> None:
        time.sleep(min(wait_s, 0.001))
        if self.free:
            answer_all(self)


class Stub:
    """An open session on it."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.plan, self.runs = cloud.chain.plan, 0
        self._runner = runner_on(cloud, stall_s=60.0, window=8)
        self._next_id = 0

    def answers(self, arrivals: Arrivals) -> Iterator[FrameResult]:
        self.runs += 1
        for result in self._runner.run(arrivals, lambda: Candidate(1, "raw"), self._next_id):
            self._next_id = result.id + 1
            yield result

    def close(self) -> None:
        self._runner.close()


async def _until(condition: Any) -> None:
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


def test_a_frame_asked_for_later_does_not_wait_for_those_in_flight() -> None:
    """The second leaves while the first is still under way; a frame asked for after a pause begins anew."""

    async def scenario() -> None:
        cloud = Patient(affine_chain(), lambda _: None)
        session = Stub(cloud)
        opened = AsyncSession(session, ThreadPoolExecutor(1), 8)  # type: ignore[arg-type]
        asked = []
        for count, sample in enumerate(samples(5), 1):
            asked.append(asyncio.ensure_future(opened.infer(sample)))
            await _until(lambda count=count: cloud.received == count)
        assert not any(task.done() for task in asked)
        cloud.free = True
        assert [result.id for result in await asyncio.gather(*asked)] == [0, 1, 2, 3, 4]
        assert session.runs == 1
        await _until(lambda: opened._requests.ended)
        assert (await opened.infer(samples(1)[0])).id == 5
        await opened.close()

    asyncio.run(scenario())


def test_a_reset_begins_a_sequence_with_the_next_frame_asked_for() -> None:
    """And with no other: frames asked for before and after it go on where the one before ended."""
    begun: list[bool] = []

    class Noting(Stub):
        def answers(self, arrivals: Arrivals) -> Iterator[FrameResult]:
            taking = arrivals.take

            def take(most: int) -> Any:
                taken = taking(most)
                begun.extend(sample.begins for sample, _ in taken or ())
                return taken

            if self.runs == 0:
                arrivals.take = take  # type: ignore[method-assign]
            return super().answers(arrivals)

    async def scenario() -> None:
        cloud = Patient(affine_chain(), answer_all)
        with ThreadPoolExecutor(1) as worker:
            session = AsyncSession(Noting(cloud), worker, 8)  # type: ignore[arg-type]
            (sample,) = samples(1)
            await session.infer(sample)
            session.reset()
            for _ in range(2):
                await session.infer({"x": np.ones((1, 4), np.float32)})
            await session.close()

    asyncio.run(scenario())
    assert begun == [False, True, False]
