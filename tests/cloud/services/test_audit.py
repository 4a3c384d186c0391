"""A frame coded and exact: both are answered, compared and counted; what is not one frame twice is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.served import Client, Cloud, assert_readable, served

from partway.cloud.models.repository import ServedModel
from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.partitioner.plan.chain import Chain
from partway.partitioner.zoo.idx import read_idx
from partway.proto import messages as m
from partway.proto.tensors import TensorSpec


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


Array = np.ndarray[Any, Any]
YOLO = {"kind": "detect", "head": "yolov8", "values": {"boxes": "y"}, "size": [64, 64], "labels": ["cat", "dog"]}
ROWS = {"kind": "detect", "head": "rows", "values": {"rows": "y"}, "size": [64, 64], "labels": ["cat", "dog"]}


def detector(output: dict[str, Any], x: TensorSpec, y: TensorSpec, function: Any) -> ServedModel:
    """A model of one stage, whose output is boxes."""
    model = served("boxes", function, (x,), (y,))
    plan = replace(model.plan, output=output)
    return replace(model, plan=plan, digest=plan.digest, chain=Chain(plan, model.chain.stages))


def compared(model: ServedModel, coded: Array, exact: Array) -> Any:
    """What the cloud says of these inputs, one said to be coded, the other exact."""
    encoder = Encoder(model.plan)
    frames = [
        encoder.frame("7", 0, codec, [Sample("x", None, {"x": x})], {"x": x})
        for codec, x in (("fp16", coded), ("raw", exact))
    ]
    with Cloud({"boxes": model}) as cloud:
        reply = audit(cloud.port, *frames)
        counts = cloud.server.auditor.counts()["boxes", 0, "fp16"]
    assert (counts.frames, counts.audits) == (reply.frames, 1)
    assert int(counts.agreed + 1e-9) == reply.agreed
    return reply


def yolo(*boxes: tuple[float, ...]) -> Array:
    """Raw output [1, 6, 4] of a detector with these boxes: centre, size, two scores."""
    rows = [*boxes, *((0.0, 0.0, 1.0, 1.0, 0.0, 0.0),) * (4 - len(boxes))]
    return np.array(rows, np.float32).T[None]


CAT, DOG = (16.0, 16.0, 20.0, 20.0, 0.9, 0.0), (48.0, 40.0, 16.0, 20.0, 0.0, 0.8)


def test_of_a_detector_its_boxes_are_compared() -> None:
    """Outputs that differ while the boxes stay agree; a lost box is a lost answer; frames without boxes say nothing."""
    spec = TensorSpec("x", "float32", (None, 6, 4))
    model = detector(YOLO, spec, replace(spec, name="y"), lambda values: {"y": values["x"]})
    moved = (17.0, 16.5, 20.5, 19.0, 0.6, 0.0)
    exact = np.concatenate([yolo(CAT, DOG), yolo(), yolo(CAT)])
    coded = np.concatenate([yolo(moved, DOG), yolo(), yolo(moved)])
    reply = compared(model, coded, exact)
    assert (reply.frames, reply.agreed, reply.classifies) == (2, 2, True)
    assert (reply.agreement, reply.weight) == (3.0, 3.0)
    assert reply.relative_error > 0.01
    reply = compared(model, np.concatenate([yolo(CAT), yolo(), yolo(DOG)]), exact)
    assert (reply.frames, reply.agreed) == (2, 0)
    assert reply.agreement / reply.weight == pytest.approx(2 * 1 / (3 + 2))


def test_answers_with_another_number_of_boxes_are_compared_too() -> None:
    """A model that ends in its own suppression gives as many rows as it finds."""
    x, y = TensorSpec("x", "float32", (1, 2, 6)), TensorSpec("y", "float32", (None, 6))
    model = detector(ROWS, x, y, lambda values: {"y": values["x"][0][values["x"][0, :, 4] > 0.5]})
    rows = np.array([[[2, 2, 20, 20, 0.9, 0], [30, 30, 60, 60, 0.75, 1]]], np.float32)
    one = rows * np.array([[1], [0]], np.float32)
    assert compared(model, rows, rows).agreement == 2.0
    reply = compared(model, one, rows)
    assert (reply.frames, reply.agreement / reply.weight) == (1, pytest.approx(2 / 3))
    assert reply.relative_error == 1.0
