"""Frames as bytes."""

from typing import Any

import numpy as np
import pytest

from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.proto.frame import decode_request
from partway.proto.messages import ModelInferRequest

PLAN = load_plan(model_folder("mnist"))
PIXELS = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
SAMPLE = Sample("p", PIXELS)


def _live(encoder: Encoder, count: int = 1) -> dict[str, Any]:
    return dict(encoder.tensors([SAMPLE] * count))


def test_a_frame_says_what_it_is() -> None:
    """Model, plan, split and codec travel with each frame, and a deadline where there is one."""
    encoder = Encoder(PLAN, 250)
    frame = decode_request(encoder.frame("7", 0, "raw", [SAMPLE], _live(encoder)))
    assert (frame.id, frame.header.model) == ("7", "mnist")
    assert dict(frame.header.parameters) == {
        "partway.plan": PLAN.digest, "partway.cut": 0, "partway.codec": "raw", "partway.deadline_ms": 250.0,
    }  # fmt: skip
    later = Encoder(PLAN)
    plain = decode_request(later.frame("7", 0, "raw", [SAMPLE], _live(later)))
    assert "partway.deadline_ms" not in dict(plain.header.parameters)


def test_a_raw_frame_is_a_plain_open_inference_request() -> None:
    """Google's own parser reads a raw frame, so that any server of the protocol can."""
    encoder = Encoder(PLAN)
    live = _live(encoder)
    request = ModelInferRequest.FromString(encoder.frame("7", 0, "raw", [SAMPLE], live))
    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("image", "FP32", [1, 1, 28, 28])
    assert request.raw_input_contents[0] == live["image"].tobytes()


def test_pixels_travel_instead_of_tensors() -> None:
    """A picture codec at split 0 sends the pixels themselves, with no tensor made of them."""
    encoder = Encoder(PLAN)
    assert encoder.sends_pixels(0, "u8")
    assert not encoder.sends_pixels(1, "u8")
    assert not encoder.sends_pixels(0, "raw")
    frame = decode_request(encoder.frame("1", 0, "u8", [SAMPLE, SAMPLE], {}))
    assert frame.header.tensors[0].shape == (2,)
    assert bytes(frame.raw[0]).count(PIXELS.tobytes()) == 2


def test_several_samples_are_one_batch() -> None:
    """Samples are stacked along the first axis."""
    assert _live(Encoder(PLAN), 3)["image"].shape == (3, 1, 28, 28)


def test_a_tensor_is_no_picture() -> None:
    """A picture codec for a sample without pixels is refused by name."""
    encoder = Encoder(PLAN)
    tensor = Sample("t.npz[0]", values=_live(encoder))
    with pytest.raises(InputError, match=r"codec png sends pictures, t\.npz\[0\] is none"):
        encoder.frame("1", 0, "png", [tensor], {})
