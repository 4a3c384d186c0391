"""What every stream of frames does, whatever carries it: the fake cloud's and gRPC's obey the same promises."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.support.served import Cloud, served

from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.edge.transport.client import CloudClient
from partway.edge.transport.fake import FakeCloud
from partway.edge.transport.interface import FrameStream, OnLost, OnReply
from partway.errors import LinkLost
from partway.proto.frame import decode_reply
from partway.proto.tensors import TensorSpec

PATIENCE_S = 60.0
MODEL = served(
    "double",
    lambda values: {"y": values["x"] * 2},
    (TensorSpec("x", "float32", (None, 2)),),
    (TensorSpec("y", "float32", (None, 2)),),
)
PACKER = Encoder(MODEL.plan)


def frame(number: int) -> bytes:
    """A frame whose answer is twice its number."""
    sample = Sample(str(number), values={"x": np.full((1, 2), number, np.float32)})
    return PACKER.frame(str(number), 0, "raw", [sample], sample.values or {})


@dataclass
class Opened:
    """A stream and what its callbacks were told: numbers of frames with their answers."""

    open_stream: Callable[[OnReply, OnLost], FrameStream]
    answers: dict[int, float] = field(default_factory=dict)
    moments: list[float] = field(default_factory=list)
    lost: list[LinkLost] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.stream = self.open_stream(self._reply, self.lost.append)

    def _reply(self, message: bytes, at_s: float) -> None:
        reply = decode_reply(message)
        assert int(reply.frame.id) not in self.answers
        self.answers[int(reply.frame.id)] = float(np.frombuffer(reply.frame.raw[0], np.float32)[0])
        self.moments.append(at_s)
        self.threads.add(threading.get_ident())

    def until(self, count: int) -> None:
        """Poll until so many are answered."""
        until_s = time.monotonic() + PATIENCE_S
        while len(self.answers) < count:
            assert time.monotonic() < until_s, "it never came to that"
            self.stream.poll(1.0)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """The real services on a loopback port."""
    with Cloud({"double": MODEL}) as made:
        yield made


@pytest.fixture(params=["fake", "grpc"])
def opened(request: pytest.FixtureRequest, cloud: Cloud) -> Iterator[Opened]:
    """A stream to the fake cloud, and one over gRPC to the real services."""
    if request.param == "fake":
        yield Opened(FakeCloud(MODEL.chain).open_stream)
        return
    with CloudClient(f"127.0.0.1:{cloud.port}") as client:
        made = Opened(client.open_stream)
        yield made
        made.stream.close()


def test_every_frame_gets_its_own_answer(opened: Opened) -> None:
    """Frames that are sent together are answered each once, and no link is lost."""
    for number in range(20):
        opened.stream.send(frame(number))
    opened.until(20)
    assert opened.answers == {number: 2.0 * number for number in range(20)}
    assert opened.lost == []


def test_callbacks_come_in_the_callers_thread_with_a_moment_that_never_goes_back(opened: Opened) -> None:
    """No lock is needed, and replies carry when they came."""
    before_s = time.perf_counter()
    for number in range(5):
        opened.stream.send(frame(number))
        opened.until(number + 1)
    assert opened.threads == {threading.get_ident()}
    assert opened.moments == sorted(opened.moments)
    assert before_s <= opened.moments[0]
    assert opened.moments[-1] <= time.perf_counter()


def test_work_meanwhile_gives_its_result_or_its_error(opened: Opened) -> None:
    """What the work returns or raises is the caller's, and the stream goes on."""
    assert opened.stream.meanwhile(lambda: "done") == "done"
    with pytest.raises(ZeroDivisionError):
        opened.stream.meanwhile(lambda: 1 // 0)
    opened.stream.send(frame(3))
    opened.until(1)
    assert opened.answers == {3: 6.0}


def test_a_poll_without_time_or_news_returns(opened: Opened) -> None:
    """Nothing in flight: no callback fires, however it is polled."""
    opened.stream.poll(0.0)
    opened.stream.poll(-1.0)
    opened.stream.poll(0.01)
    assert (opened.answers, opened.lost) == ({}, [])


def test_a_wake_ends_a_poll(opened: Opened) -> None:
    """From any thread, before the poll's time is over."""
    thread = threading.Thread(target=opened.stream.wake)
    thread.start()
    begun_s = time.monotonic()
    opened.stream.poll(PATIENCE_S)
    assert time.monotonic() - begun_s < PATIENCE_S
    thread.join()


def test_a_closed_stream_is_silent_and_may_be_closed_again(opened: Opened) -> None:
    """No callback fires for what was under way, and closing it is no loss."""
    opened.stream.send(frame(1))
    opened.until(1)
    opened.stream.close()
    opened.stream.close()
    opened.stream.wake()
    assert (opened.answers, opened.lost) == ({1: 2.0}, [])


def test_a_device_without_a_cloud_loads_no_network_library() -> None:
    """The interface and all that uses it are imported without gRPC."""
    code = (
        "import sys, partway.edge.transport.interface, partway.edge.pipeline.uplink\n"
        "print(*(name for name in sys.modules if name.split('.')[0] in ('grpc', 'ssl')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
