"""Fitted codecs in plans: they come back from JSON, and a damaged plan is refused."""

from typing import Any

import numpy as np
import pytest
from tests.support.codecs import smooth

from partway.errors import CodecError, InputError
from partway.partitioner.calibrate.fit_transform import fit
from partway.proto.codecs.packing import pack, unpack
from partway.proto.codecs.transform.codebook import codebook, to_json
from partway.proto.codecs.transform.codec import Transform
from partway.proto.tensors import TensorSpec

FLOATS = smooth((6, 9, 5))
CODEC = fit(FLOATS, "NCHW").transform("t30", 0.3)


def test_a_plan_brings_its_codecs_along() -> None:
    """Through JSON and back they code the same bytes, and pack and unpack find them by tensor."""
    book = codebook([to_json("x", [CODEC])])
    array = FLOATS[:1]
    head, data = pack("t30", "x", array, book)
    assert data[-len(CODEC.encode(array)) :] == CODEC.encode(array)
    back = unpack(head, bytes(data), TensorSpec("x", "float32", (None, 6, 9, 5)), book)
    assert np.array_equal(back, CODEC.decode(memoryview(CODEC.encode(array)), "float32", array.shape))
    assert pack("t30", "y", array, book)[0].datatype == "FP32"  # not fitted to that one
    with pytest.raises(CodecError, match="unknown codec"):
        unpack(head, bytes(data), TensorSpec("x", "float32", (None, 6, 9, 5)))
    with pytest.raises(CodecError, match="at most 64 samples"):
        many = pack("t30", "x", np.repeat(array, 65, 0), book)
        unpack(many[0], bytes(many[1]), TensorSpec("x", "float32", (None, 6, 9, 5)), book)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"layout": "HWCN"},
        {"shape": [1 << 20, 1 << 20, 5]},
        {"shape": [0, 9, 5]},
        {"low": float("nan")},
        {"mean": "AAAA"},
        {"mean": 5},
        {"vectors": ""},
        {"groups": [1, 1, 1]},
        {"groups": None},
        {"dtype": "object"},
        {"qualities": [{"name": "t30"}]},
        {"qualities": 3},
    ],
)
def test_a_damaged_plan_is_named(change: dict[str, Any]) -> None:
    """One sentence, whatever the damage."""
    with pytest.raises(InputError, match=r"codec of the plan is damaged .* `partway plan`"):
        codebook([{**to_json("x", [CODEC]), **change}])


def test_a_plan_cannot_rename_what_is_there() -> None:
    """A plan's ``raw`` would be another raw."""
    named = Transform(
        "raw", CODEC.dtype, CODEC.basis, CODEC.steps, CODEC.segments, CODEC.lengths, CODEC.low, CODEC.high
    )
    with pytest.raises(InputError, match="is taken"):
        codebook([to_json("x", [named])])
