"""TFLite files whose offsets lie are refused before an interpreter reads them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import InputError

pytest.importorskip("ai_edge_litert")


from tests.support.tflite_models import fully_connected

from partway.engines.litert.bounds import NotFlatbufferError, check_bounds, check_tflite
from partway.engines.litert.engine import LitertEngine

FILE = fully_connected()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
def test_a_damaged_file_is_a_sentence_or_a_stage(changes: list[tuple[int, int]], cut: bool) -> None:
    """Changed or missing bytes never end the process: this one is still here afterwards."""
    data = bytearray(FILE)
    for at, value in changes:
        data[at] = value
    if cut:
        del data[changes[0][0] :]
    try:
        LitertEngine(1).load(bytes(data))
    except InputError as error:
        assert "\n" not in str(error) and "stage" in str(error)


def test_a_good_file_passes() -> None:
    """Also where it is longer than its tables."""
    check_tflite(FILE)
    check_bounds(memoryview(FILE + bytes(100)))


@pytest.mark.parametrize("size", [0, 3, 8, 20, 100])
def test_a_file_that_ends_early_is_refused(size: int) -> None:
    """Nothing past the end is followed."""
    with pytest.raises(NotFlatbufferError):
        check_bounds(memoryview(FILE[:size]))


def test_a_file_of_another_kind_is_told_from_a_damaged_one() -> None:
    """The sentence says which, and what to do about damage."""
    with pytest.raises(InputError, match="no TFLite file"):
        check_tflite(b"ONNX" * 10)
    with pytest.raises(InputError, match=r"damaged: .*; fetch or slice it again"):
        check_tflite(FILE[:4] + b"TFL3" + b"\xff" * 20)


def test_parts_that_refer_to_each_other_again_and_again_are_refused() -> None:
    """Reading ten thousand references to one table would take out of proportion to the file's size."""
    count = 10_000
    model = struct.pack("<I4s4HiI", 16, b"TFL3", 8, 8, 0, 4, 8, 4)  # a model whose second field is a list
    begin = len(model) + 4
    code = begin + 4 * count + 20  # one operator code, behind a table of eight fields that it leaves out
    places = struct.pack(f"<{count}I", *(code - (begin + 4 * number) for number in range(count)))
    data = model + struct.pack("<I", count) + places + struct.pack("<10Hi", 20, 4, *[0] * 8, 20)
    with pytest.raises(NotFlatbufferError, match="again and again"):
        check_bounds(memoryview(data))
    few = model + struct.pack("<I", 1) + struct.pack("<I", 24) + struct.pack("<10Hi", 20, 4, *[0] * 8, 20)
    check_bounds(memoryview(few))
