"""A fake cloud without network or process, for tests: it answers frames by a chain, when and how the test decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.transport.interface import OnLost, OnReply, T
from partway.errors import LinkLost
from partway.partitioner.plan.chain import Chain
from partway.proto.codecs.image import decode_image, is_image_codec
from partway.proto.codecs.packing import blob_elements, pack, unpack
from partway.proto.codecs.registry import RAW
from partway.proto.codecs.transform.codebook import codebook
from partway.proto.frame import Durations, Frame, Reply, decode_request, encode_reply
from partway.proto.header import Header

Array = np.ndarray[Any, Any]
Behaviour = Callable[["FakeCloud"], None]


def answer_all(cloud: FakeCloud) -> None:
    """The behaviour of a good cloud: answer every frame at once."""
    while cloud.waiting:
        cloud.answer()


class FakeCloud:
    """A cloud whose ``open_stream`` a Runner takes. After each frame, ``behaviour(cloud)`` decides what happens.

    ``waiting`` holds the unanswered frames, oldest first; ``received`` counts all frames. Implements FrameStream:
    everything happens inside ``send``, and ``poll`` does nothing.
    """

    def __init__(self, chain: Chain, behaviour: Behaviour = answer_all) -> None:
        self.chain, self.behaviour = chain, behaviour
        self.waiting: list[Frame] = []
        self.received = 0
        self.closed = False
        self._preprocess = chain.plan.preprocess
        self._book = codebook(chain.plan.codecs)
        self._on_reply: OnReply
        self._on_lost: OnLost

    def open_stream(self, on_reply: OnReply, on_lost: OnLost) -> FakeCloud:
        """Like CloudClient.open_stream."""
        self._on_reply, self._on_lost = on_reply, on_lost
        return self

    def send(self, message: bytes) -> None:
        """See FrameStream."""
        self.received += 1
        self.waiting.append(decode_request(message))
        self.behaviour(self)

    def poll(self, wait_s: float) -> None:
        """See FrameStream."""

    def wake(self) -> None:
        """See FrameStream."""

    def meanwhile(self, work: Callable[[], T]) -> T:
        """See FrameStream."""
        return work()

    def close(self) -> None:
        """See FrameStream."""
        self.closed = True

    def answer(self, position: int = 0) -> bytes:
        """Answer a waiting frame correctly; returns the reply's bytes, which a bad cloud may deliver again."""
        frame = self.waiting.pop(position)
        message = encode_reply(Reply(self.answer_to(frame), Durations()))
        self.deliver(message)
        return message

    def refuse(self, sentence: str, position: int = 0, retry_ms: int | None = None) -> None:
        """Answer a waiting frame with an error, and say when to try again."""
        frame = self.waiting.pop(position)
        hint = () if retry_ms is None else (("partway.retry_ms", retry_ms),)
        self.deliver(encode_reply(Reply(Frame(Header(frame.header.model, hint), frame.id, ()), Durations(), sentence)))

    def deliver(self, message: bytes) -> None:
        """Send these bytes back unchanged."""
        if not self.closed:
            self._on_reply(message, perf_counter())

    def lose(self, reason: str = "the fake cloud is lost") -> None:
        """Break the link: waiting frames get no answer."""
        self.waiting.clear()
        if not self.closed:
            self._on_lost(LinkLost(reason))

    def answer_to(self, frame: Frame) -> Frame:
        """The correct answer: the suffix of the chain applied to the frame's values."""
        plan, k = self.chain.plan, int(dict(frame.header.parameters)["partway.cut"])
        live = self.chain.run(self._values(frame, k), k, len(plan.stages))
        packed = [pack(RAW, name, live[name]) for name in plan.outputs if name in live]
        header = Header(frame.header.model, (), tuple(head for head, _ in packed))
        return Frame(header, frame.id, tuple(data for _, data in packed))

    def _values(self, frame: Frame, k: int) -> Mapping[str, Array]:
        codec, preprocess = str(dict(frame.header.parameters)["partway.codec"]), self._preprocess
        if k == 0 and is_image_codec(codec) and preprocess is not None:
            bodies = blob_elements(frame.header.tensors[0], memoryview(frame.raw[0]))
            tensors = [preprocess.tensor(decode_image(codec, body, preprocess.shape)) for body in bodies]
            return {preprocess.value: np.concatenate(tensors)}
        specs = self.chain.plan.tensors
        heads = zip(frame.header.tensors, frame.raw, strict=True)
        return {head.name: unpack(head, data, specs[head.name], self._book) for head, data in heads}
