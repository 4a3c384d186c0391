"""The stream of frames over gRPC: to a real cloud in another process, and to servers that do something odd."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import RealCloud
from tests.support.raw_services import raw_services

from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.edge.transport.client import CloudClient
from partway.edge.transport.grpc_stream import brief, to_the_end
from partway.errors import LinkLost
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))
PATIENCE_S = 60.0


@pytest.fixture
def cloud(start_cloud: Callable[..., RealCloud]) -> RealCloud:
    """cloud-serve with the shipped models, in its own process."""
    return start_cloud("--threads", "1")


def _pictures(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [Sample(str(i), rng.integers(0, 256, (28, 28, 1), dtype=np.uint8)) for i in range(count)]


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """A server that sends every message back."""
    with raw_services(ModelStreamInfer=lambda requests, context: requests) as address:
        yield address


class Caller:
    """A client with an open stream, and what its callbacks were told."""

    def __init__(self, address: str) -> None:
        self.replies: list[bytes] = []
        self.lost: list[LinkLost] = []
        self.threads: set[int] = set()
        self.client = CloudClient(address, 1.0)
        self.stream = self.client.open_stream(self._reply, self._lost)

    def _reply(self, message: bytes, at_s: float) -> None:
        self.replies.append(message)
        self.threads.add(threading.get_ident())

    def _lost(self, error: LinkLost) -> None:
        self.lost.append(error)
        self.threads.add(threading.get_ident())

    def until(self, condition: Callable[[], object]) -> None:
        """Poll until it is so."""
        until_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until_s, "it never came to that"
            self.stream.poll(1.0)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.client.close()


def test_a_cloud_that_ends_the_stream_is_lost() -> None:
    """A cloud that says goodbye in good order is lost like any other; closing what is lost is done once."""
    lost: list[LinkLost] = []
    with raw_services(ModelStreamInfer=lambda requests, context: iter(())) as address, CloudClient(address) as client:
        stream = client.open_stream(lambda message, at_s: None, lost.append)
        stream.poll(30.0)
        stream.close()
        stream.close()
    (error,) = lost
    assert str(error) == f"the cloud at {address} is lost: it ended the stream"


def test_polling_waits_no_longer_than_it_was_told(cloud: RealCloud) -> None:
    """With nothing in flight a poll ends with its time, and no callback has fired."""
    fired: list[object] = []
    with CloudClient(cloud.address) as client:
        stream = client.open_stream(lambda message, at_s: fired.append(message), fired.append)
        stream.poll(0.01)
        stream.close()
    assert not fired


def test_a_stop_left_over_does_not_end_a_poll_early(cloud: RealCloud) -> None:
    """Work that ended just before a poll is no reason to take a cloud for silent."""
    replies: list[bytes] = []
    encoder = Encoder(PLAN)
    with CloudClient(cloud.address) as client:
        client.describe("mnist")
        stream = client.open_stream(lambda message, at_s: replies.append(message), lambda error: None)
        for index, picture in enumerate(_pictures(5)):
            stream.send(encoder.frame(str(index), 0, "u8", [picture], {}))
            client.loop.call_soon(client.loop.stop)
            if len(replies) == index:
                stream.poll(30.0)
            assert len(replies) == index + 1
        stream.close()


def test_work_goes_on_while_frames_come_and_go(cloud: RealCloud) -> None:
    """Work done meanwhile gives its result or its error, and a later poll still waits for the reply."""
    replies: list[bytes] = []
    encoder = Encoder(PLAN)
    (picture,) = _pictures(1)
    with CloudClient(cloud.address) as client:
        client.describe("mnist")
        stream = client.open_stream(lambda message, at_s: replies.append(message), lambda error: None)
        assert stream.meanwhile(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            stream.meanwhile(lambda: 1 // 0)
        stream.send(encoder.frame("0", 0, "u8", [picture], {}))
        while not replies:
            stream.poll(30.0)
        stream.close()
    assert len(replies) == 1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=20), st.booleans())
def test_messages_arrive_whole_and_in_order(echo: str, messages: list[bytes], at_once: bool) -> None:
    """Sent before the connection stands or after it, all at once or each after the last reply, empty ones included."""
    with Caller(echo) as caller:
        for index, message in enumerate(messages):
            caller.stream.send(message)
            if not at_once:
                caller.until(lambda count=index + 1: len(caller.replies) == count)
        caller.until(lambda: len(caller.replies) == len(messages))
        assert caller.replies == messages
        assert caller.lost == []


def test_a_message_of_megabytes_is_sent_while_others_wait_behind_it(echo: str) -> None:
    """Sending never blocks: the large message and those behind it go out while replies are polled for."""
    large = bytes(range(256)) * 12_000
    with Caller(echo) as caller:
        for message in (b"before", large, b"behind"):
            caller.stream.send(message)
        caller.until(lambda: len(caller.replies) == 3)
        assert caller.replies == [b"before", large, b"behind"]


def test_callbacks_fire_in_the_callers_thread(echo: str) -> None:
    """Whoever uses a stream needs no lock."""
    with Caller(echo) as caller:
        caller.stream.send(b"1")
        caller.until(lambda: caller.replies)
        assert caller.threads == {threading.get_ident()}


def test_replies_come_while_work_is_done_in_another_thread(echo: str) -> None:
    """Work that takes long holds no reply up: it sees the reply to a frame that was sent before it."""
    with Caller(echo) as caller:
        caller.stream.send(b"first")
        caller.until(lambda: caller.replies)
        caller.stream.send(b"second")

        def work() -> tuple[int, int]:
            until_s = time.monotonic() + PATIENCE_S
            while len(caller.replies) < 2 and time.monotonic() < until_s:
                time.sleep(0.005)
            return len(caller.replies), threading.get_ident()

        replies, thread = caller.stream.meanwhile(work)
        assert replies == 2
        assert thread != threading.get_ident()
        assert caller.threads == {threading.get_ident()}


def test_waking_ends_the_poll_that_is_under_way(echo: str) -> None:
    """From another thread, before the poll's time is over and without a callback."""
    with Caller(echo) as caller:
        caller.stream.send(b"1")
        caller.until(lambda: caller.replies)
        threading.Timer(0.05, caller.stream.wake).start()
        begun_s = time.monotonic()
        caller.stream.poll(PATIENCE_S)
        assert time.monotonic() - begun_s < PATIENCE_S
        assert len(caller.replies) == 1


def test_waking_beforehand_ends_the_next_poll_and_no_other(echo: str) -> None:
    """A wake is used up by one poll; the one after it waits for its reply again."""
    with Caller(echo) as caller:
        caller.stream.wake()
        begun_s = time.monotonic()
        caller.stream.poll(PATIENCE_S)
        assert time.monotonic() - begun_s < PATIENCE_S
        caller.stream.send(b"1")
        caller.stream.poll(PATIENCE_S)
        assert caller.replies == [b"1"]


def test_waking_what_is_closed_does_nothing(echo: str) -> None:
    """A thread that comes too late brings nothing down, even when the event loop is closed."""
    caller = Caller(echo)
    caller.stream.close()
    caller.stream.wake()
    caller.client.close()
    caller.stream.wake()


def test_nothing_fires_after_closing(echo: str) -> None:
    """Replies under way are dropped, and the end that closing brings about is no loss."""
    with Caller(echo) as caller:
        caller.stream.send(b"1")
        caller.until(lambda: caller.replies)
        caller.stream.send(b"2")
        caller.stream.close()
        caller.client.loop.run_until_complete(asyncio.sleep(0.05))
        assert (caller.replies, caller.lost) == ([b"1"], [])


@pytest.mark.parametrize("answered", [0, 2])
def test_a_broken_stream_is_lost_once_with_the_reason(answered: int) -> None:
    """Replies that came before the break are handed out; a frame that is sent afterwards harms nothing."""

    def broken(requests: Any, context: Any) -> Iterator[bytes]:
        for _ in range(answered):
            yield next(requests)
        context.abort(grpc.StatusCode.UNAVAILABLE, "cable pulled\nand more")

    with raw_services(ModelStreamInfer=broken) as address, Caller(address) as caller:
        for index in range(answered):
            caller.stream.send(b"%d" % index)
        caller.until(lambda: caller.lost)
        caller.stream.send(b"late")
        caller.stream.poll(0.05)
        assert caller.replies == [b"0", b"1"][:answered]
        assert [str(error) for error in caller.lost] == [f"the cloud at {address} is lost: cable pulled"]
        assert caller.threads == {threading.get_ident()}


def test_a_stream_to_nobody_is_lost() -> None:
    """Opening a stream does not wait for a connection; that there is none comes as a loss."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with Caller(f"127.0.0.1:{port}") as caller:
        caller.stream.send(b"1")
        caller.until(lambda: caller.lost)
        assert str(caller.lost[0]).startswith(f"the cloud at 127.0.0.1:{port} is lost: ")
        assert "refused" in str(caller.lost[0])


@pytest.mark.parametrize(
    ("code", "details", "says"),
    [
        (grpc.StatusCode.UNAVAILABLE, "cable pulled", "cable pulled"),
        (grpc.StatusCode.UNAVAILABLE, "one line\nanother line", "one line"),
        (grpc.StatusCode.UNAVAILABLE, "", "UNAVAILABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, None, "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.UNKNOWN, "Internal error from Core", "the connection broke"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote"
            " host: Connection refused; ",
            "Connection refused",
        ),
        (grpc.StatusCode.INTERNAL, "x" * 1000, "x" * 160),
    ],
)
def test_an_error_is_told_in_a_few_words(code: grpc.StatusCode, details: str | None, says: str) -> None:
    """The part of gRPC's text that tells people something, or the code's name where there is no text."""
    assert brief(aio.AioRpcError(code, aio.Metadata(), aio.Metadata(), details)) == says


def test_a_coroutine_ends_though_the_loop_is_stopped_again_and_again() -> None:
    """A ``wake`` that was meant for something else does not end what must be finished."""

    async def work(raising: bool) -> int:
        for _ in range(3):
            loop.stop()
            await asyncio.sleep(0)
        if raising:
            raise ZeroDivisionError
        return 7

    loop = asyncio.new_event_loop()
    try:
        assert to_the_end(loop, work(False)) == 7
        with pytest.raises(ZeroDivisionError):
            to_the_end(loop, work(True))
    finally:
        loop.close()
