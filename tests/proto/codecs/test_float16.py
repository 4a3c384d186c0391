"""Half precision on the wire."""

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.support.codecs import spec_of, there_and_back

from partway.errors import CodecError
from partway.proto.codecs.packing import blob, pack, unpack
from partway.proto.codecs.registry import RAW, packs
from partway.proto.datatypes import NUMPY_NAME
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
DTYPES = tuple(NUMPY_NAME.values())


wide = st.sampled_from(("float32", "float64")).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3), elements=st.floats(-65504, 65504, width=32)
    )
)


@given(wide)
@settings(deadline=None)
def test_half_precision_is_off_by_one_in_2048_at_most(array: Array) -> None:
    """Relative error 2**-11 for all but the tiniest values, which are off by half the smallest half-precision step."""
    back = there_and_back("fp16", array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.all(np.abs(back.astype(float) - array) <= np.maximum(np.abs(array.astype(float)) * 2**-11, 2**-25))


def test_half_precision_keeps_what_it_can_of_extreme_values() -> None:
    """What is too large becomes the largest there is, NaN stays NaN."""
    back = there_and_back("fp16", np.array([1e30, -1e30, np.inf, -np.inf, np.nan, 1e-30], np.float32))
    assert back[:4].tolist() == [65504, -65504, 65504, -65504]
    assert np.isnan(back[4]) and back[5] == 0


def test_half_precision_halves_the_bytes() -> None:
    """Behind the header, two bytes an element."""
    _, raw = pack(RAW, "x", np.zeros(10_000, np.float32))
    _, half = pack("fp16", "x", np.zeros(10_000, np.float32))
    assert len(half) < len(raw) / 2 + 100


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name not in ("float32", "float64")])
def test_a_codec_that_does_not_fit_the_dtype_leaves_it_raw(dtype: str) -> None:
    """Half precision gains nothing on integers and halves, and so they travel as they are."""
    array = np.array([0, 1]).astype(dtype)
    assert pack("fp16", "x", array) == pack(RAW, "x", array)
    assert not packs("fp16", spec_of(array)) and packs(RAW, spec_of(array))


def test_half_precision_is_for_floats() -> None:
    """Integers that claim to be halves are refused even where the plan has integers."""
    spec = TensorSpec("x", "int32", (4,))
    with pytest.raises(CodecError, match="packs floating point tensors, not int32"):
        head, data = blob("x", msgpack.packb({"codec": "fp16", "dtype": "int32", "shape": [4]}) + bytes(8))
        unpack(head, bytes(data), spec)
