"""Constants and values of an ONNX file, read from its bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from partway.engines.onnx_file.values import BFLOAT16, Value, read_constant, read_value, reading, varints
from partway.errors import InputError, WireError

onnx = pytest.importorskip("onnx")
helper, Kind = onnx.helper, onnx.TensorProto
PLAIN = ["FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64"]


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("kind", PLAIN)
def test_a_constant_is_what_the_onnx_package_reads(kind: str, raw: bool) -> None:
    """Numbers as bytes or in a field of their type: name, element type and array are the same."""
    number = getattr(Kind, kind)
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(helper.tensor_dtype_to_np_dtype(number))
    if array.dtype.kind in "if":
        array[0, 0] = -1
    tensor = onnx.numpy_helper.from_array(array, "w") if raw else helper.make_tensor("w", number, (2, 3), array.ravel())
    assert tensor.HasField("raw_data") is raw
    data = tensor.SerializeToString()
    name, constant = read_constant(data, 0, len(data))
    assert (name, constant.kind, constant.array.dtype) == ("w", number, array.dtype)
    assert np.array_equal(constant.array, array)


def test_bfloat16_is_the_integers_of_its_bits() -> None:
    """numpy has no such type."""
    data = helper.make_tensor("w", Kind.BFLOAT16, (2,), [1.0, -2.0]).SerializeToString()
    _, constant = read_constant(data, 0, len(data))
    assert (constant.kind, constant.array.tolist()) == (BFLOAT16, [0x3F80, 0xC000])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dims": [3]}, r"'w' holds 2 numbers, not \[3\]"),
        ({"dims": [-2]}, "'w' has a size below zero"),
        ({"data_type": Kind.STRING}, f"'w' is of ONNX type {Kind.STRING}, which only the engine onnx runs"),
        ({"raw_data": b"123"}, "holds 0 numbers"),
    ],
)
def test_a_constant_that_lies_is_refused(changed: dict[str, Any], words: str) -> None:
    """Size and type are checked, and the constant is named."""
    tensor = onnx.TensorProto(**{"name": "w", "dims": [2], "data_type": Kind.FLOAT, "raw_data": bytes(8), **changed})
    data = tensor.SerializeToString()
    with pytest.raises(InputError, match=words):
        read_constant(data, 0, len(data))


@pytest.mark.parametrize("shape", [None, [], [1, 3], ["batch", 3, None]])
def test_a_value_has_its_type_and_its_free_dimensions(shape: list[Any] | None) -> None:
    """Named dimensions and those without a size are free; a value without a shape has none."""
    data = helper.make_tensor_value_info("x", Kind.INT64, shape).SerializeToString()
    free = None if shape is None else tuple(size if isinstance(size, int) else None for size in shape)
    assert read_value(data, 0, len(data)) == Value("x", Kind.INT64, free)


def test_numbers_are_signed() -> None:
    """Ten bytes of a negative number, and several in a row."""
    data = onnx.AttributeProto(ints=[-1, 5, -(2**63), 2**63 - 1]).SerializeToString()
    packed = helper.make_tensor("w", Kind.INT64, (2,), [-1, 5]).SerializeToString()
    assert varints(data[1:11], 0, 10) == [-1]
    assert read_constant(packed, 0, len(packed))[1].array.tolist() == [-1, 5]


def test_foreign_errors_become_one_sentence() -> None:
    """What is wrong follows what was being read."""
    with (
        pytest.raises(InputError, match=r"^the stage is no ONNX model: field number 0$"),
        reading("the stage is no ONNX model"),
    ):
        raise WireError("the message is malformed: field number 0")
