"""The cloud without a network: it answers as the real one does, and misbehaves as it is told."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.affine import STAGES, affine_chain, samples
from tests.support.served import served

from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.edge.transport.fake import FakeCloud
from partway.errors import LinkLost, WireError
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto.frame import Reply, decode_reply
from partway.proto.tensors import TensorSpec

CHAIN = affine_chain()
PACKER = Encoder(CHAIN.plan)
FRAMES = samples(6)


def message(index: int, k: int = 1, codec: str = "raw") -> bytes:
    """Sample ``index`` as the device sends it, cut at k."""
    live = CHAIN.run(FRAMES[index].tensors(None), 0, k) if k else FRAMES[index].tensors(None)
    return PACKER.frame(str(index), k, codec, [FRAMES[index]], live)


def expected(index: int) -> "np.ndarray[Any, Any]":
    """The whole chain's answer."""
    return np.asarray(CHAIN.run(FRAMES[index].tensors(None), 0, STAGES)["y"])


class Device:
    """The other end: what it was told."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.replies: list[Reply] = []
        self.lost: list[LinkLost] = []
        self.stream = cloud.open_stream(lambda message, at_s: self.replies.append(decode_reply(message)), self._lost)

    def _lost(self, error: LinkLost) -> None:
        self.lost.append(error)

    @property
    def ids(self) -> list[int]:
        return [int(reply.frame.id) for reply in self.replies]


def waits(cloud: FakeCloud) -> None:
    """The behaviour of a cloud that answers when the test says so."""


@pytest.mark.parametrize("k", range(STAGES))
@pytest.mark.parametrize(("codec", "tolerance"), [("raw", 1e-5), ("fp16", 1e-2)])
def test_a_frame_is_answered_by_the_suffix_of_the_chain(k: int, codec: str, tolerance: float) -> None:
    """Whatever the split and the codec, the answer is that of the whole chain, as far as the codec allows."""
    device = Device(FakeCloud(CHAIN))
    device.stream.send(message(2, k, codec))
    (reply,) = device.replies
    (head,) = reply.frame.header.tensors
    found = np.frombuffer(reply.frame.raw[0], np.float32).reshape(head.shape)
    assert (head.name, reply.frame.id, reply.error) == ("y", "2", "")
    np.testing.assert_allclose(found, expected(2), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("codec", ["u8", "png"])
def test_pictures_are_decoded_and_normalised(codec: str) -> None:
    """At split 0 a picture travels as pixels, and the fake cloud makes the tensor of them."""
    preprocess = Preprocess("x", 4, 5, 1)
    spec, out = TensorSpec("x", "float32", (None, 1, 4, 5)), TensorSpec("y", "float32", (None,))
    model = served("mean", lambda values: {"y": values["x"].mean(axis=(1, 2, 3))}, (spec,), (out,))
    plan = replace(model.plan, input=preprocess.to_json())
    chain = Chain(plan, model.chain.stages)
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5, 1) * 10
    device = Device(FakeCloud(chain))
    device.stream.send(Encoder(plan).frame("0", 0, codec, [Sample("a", pixels), Sample("b", pixels * 0)], {}))
    found = np.frombuffer(device.replies[0].frame.raw[0], np.float32)
    np.testing.assert_allclose(found, [preprocess.tensor(pixels).mean(), 0.0], rtol=1e-5)


@given(st.permutations(range(len(FRAMES))))
def test_frames_are_answered_in_any_order(order: list[int]) -> None:
    """A frame that waits is answered when it is told, and every answer has its frame's id."""
    cloud = FakeCloud(CHAIN, waits)
    device = Device(cloud)
    for index in range(len(FRAMES)):
        device.stream.send(message(index))
    assert device.replies == []
    for index in order:
        cloud.answer([int(frame.id) for frame in cloud.waiting].index(index))
    assert device.ids == list(order)
    assert (cloud.received, cloud.waiting) == (len(FRAMES), [])


def test_an_answer_may_be_delivered_again() -> None:
    """``answer`` gives the bytes, for a cloud that repeats itself."""
    cloud = FakeCloud(CHAIN, waits)
    device = Device(cloud)
    device.stream.send(message(0))
    cloud.deliver(cloud.answer())
    assert device.ids == [0, 0]


@pytest.mark.parametrize("retry_ms", [None, 0, 1500])
def test_a_refusal_has_a_sentence_and_when_to_try_again(retry_ms: int | None) -> None:
    """As the real cloud's: no tensors, the frame's id, and a hint where there is one."""
    cloud = FakeCloud(CHAIN, lambda cloud: cloud.refuse("it is full", retry_ms=retry_ms))
    device = Device(cloud)
    device.stream.send(message(4))
    (reply,) = device.replies
    assert (reply.error, reply.frame.id, reply.frame.raw) == ("it is full", "4", ())
    assert dict(reply.frame.header.parameters).get("partway.retry_ms") == retry_ms
    assert cloud.waiting == []


def test_a_loss_drops_what_waits() -> None:
    """The device is told why; a frame sent afterwards is received like any other."""
    cloud = FakeCloud(CHAIN, waits)
    device = Device(cloud)
    device.stream.send(message(0))
    cloud.lose("cable pulled")
    assert [str(error) for error in device.lost] == ["cable pulled"]
    assert cloud.waiting == []
    device.stream.send(message(1))
    cloud.answer()
    assert device.ids == [1]


def test_a_closed_stream_hears_nothing() -> None:
    """Neither answers nor a loss."""
    cloud = FakeCloud(CHAIN, waits)
    device = Device(cloud)
    for index in range(2):
        device.stream.send(message(index))
    device.stream.close()
    cloud.answer()
    cloud.refuse("full")
    cloud.lose()
    assert cloud.closed
    assert (device.replies, device.lost) == ([], [])


def test_bytes_that_are_no_frame_are_refused() -> None:
    """A device that sends nonsense is a fault of the test, and is told."""
    device = Device(FakeCloud(CHAIN))
    with pytest.raises(WireError):
        device.stream.send(b"\xff" * 10)
