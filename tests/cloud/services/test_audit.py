"""A frame coded and exact: both are answered, compared and counted; what is not one frame twice is refused."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.served import Client, Cloud, assert_readable

from partway.cloud.models.repository import ServedModel
from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.partitioner.zoo.idx import read_idx
from partway.proto import messages as m


@pytest.fixture(scope="module")
def cloud(mnist: ServedModel) -> Iterator[Cloud]:
    with Cloud({"mnist": mnist}) as made:
        yield made


@pytest.fixture
def encoder(mnist: ServedModel) -> Encoder:
    return Encoder(mnist.plan)


def digits(seed: int, count: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).random((count, 1, 28, 28), np.float32)


def frame(encoder: Encoder, k: int, codec: str, mnist: ServedModel, x: "np.ndarray", name: str = "7") -> bytes:  # type: ignore[type-arg]
    live = mnist.chain.run({mnist.plan.inputs[0]: x}, 0, k)
    return encoder.frame(name, k, codec, [Sample("x", None, {mnist.plan.inputs[0]: x})], live)


def audit(port: int, coded: bytes, exact: bytes) -> "m.AuditResponse":  # type: ignore[valid-type]
    with Client(port) as client:
        request = m.AuditRequest(coded=coded, exact=exact).SerializeToString()
        return m.AuditResponse.FromString(client.call("Audit", request, m.SPLIT_SERVICE))


def test_a_codec_that_keeps_the_answer_agrees_and_is_counted(
    cloud: Cloud, encoder: Encoder, mnist: ServedModel
) -> None:
    before = cloud.server.auditor.counts().get(("mnist", 1, "fp16"))
    x = digits(1, 5)
    reply = audit(cloud.port, frame(encoder, 1, "fp16", mnist, x), frame(encoder, 1, "zstd", mnist, x))
    assert (reply.frames, reply.agreed, reply.classifies) == (5, 5, True)
    assert 0 < reply.relative_error < 0.01
    assert reply.cosine > 0.999
    after = cloud.server.auditor.counts()["mnist", 1, "fp16"]
    assert before is None
    assert (after.audits, after.frames, after.agreed) == (1, 5, 5)
    assert after.relative_error == reply.relative_error


def test_answers_that_differ_are_found_out(cloud: Cloud, encoder: Encoder, mnist: ServedModel, data: Path) -> None:
    """What is called coded is another picture altogether: about nine in ten digits are others."""
    pictures = read_idx(data / "mnist/t10k-images-idx3-ubyte.gz")[:40]
    assert mnist.preprocess is not None
    x = np.concatenate([mnist.preprocess.tensor(picture[:, :, None]) for picture in pictures])
    other = np.roll(x, 1, axis=0)
    right = mnist.chain.run({mnist.plan.inputs[0]: x}, 0, len(mnist.plan.stages))[mnist.plan.outputs[0]].argmax(1)
    same = int(np.sum(right == np.roll(right, 1)))
    reply = audit(cloud.port, frame(encoder, 2, "fp16", mnist, other), frame(encoder, 2, "raw", mnist, x))
    assert (reply.frames, reply.agreed) == (40, same)
    assert reply.relative_error > 0.3


@pytest.mark.parametrize("fault", ["split", "id", "lossy", "model", "count", "nonsense"])
def test_what_is_not_one_frame_twice_is_refused(fault: str, cloud: Cloud, encoder: Encoder, mnist: ServedModel) -> None:
    x = digits(2)
    coded = frame(encoder, 1, "fp16", mnist, x)
    exact = {
        "split": lambda: frame(encoder, 2, "raw", mnist, x),
        "id": lambda: frame(encoder, 1, "raw", mnist, x, "8"),
        "lossy": lambda: coded,
        "model": lambda: frame(encoder, 1, "raw", mnist, x).replace(b"mnist", b"mnisu"),
        "count": lambda: frame(encoder, 1, "raw", mnist, digits(3, 2)),
        "nonsense": lambda: b"\xff\xff",
    }[fault]()
    with Client(cloud.port) as client:
        request = m.AuditRequest(coded=coded, exact=exact).SerializeToString()
        status, sentence = client.refusal("Audit", request, m.SPLIT_SERVICE)
    assert status == ("NOT_FOUND" if fault == "model" else "INVALID_ARGUMENT")
    assert_readable(sentence)
