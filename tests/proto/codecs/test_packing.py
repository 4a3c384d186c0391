"""Tensors packed to cross the link, and what happens to those that lie about themselves."""

import struct
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.support.codecs import there_and_back

from partway.errors import CodecError, InputError, WireError
from partway.proto.codecs.packing import blob, blob_elements, pack, raw_layout, unpack
from partway.proto.codecs.registry import RAW
from partway.proto.datatypes import NUMPY_NAME
from partway.proto.header import TensorHead
from partway.proto.tensors import MAX_BATCH, TensorSpec

Array = np.ndarray[Any, Any]
DTYPES = tuple(NUMPY_NAME.values())
SPEC = TensorSpec("x", "float32", (None, 4))


def coded(header: Any, body: bytes = b"", packed: bool = True) -> tuple[TensorHead, bytes]:
    """A coded tensor with a header of our making."""
    head, data = blob("x", (msgpack.packb(header) if packed else header) + body)
    return head, bytes(data)


def bits(array: Array) -> bytes:
    """What a lossless codec must keep: the values' own bytes, native order, row by row."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("=")).tobytes()


arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=5))
)


@given(arrays)
@settings(deadline=None)
def test_raw_keeps_every_bit(array: Array) -> None:
    """NaN with its payload, infinities, denormals, bools and scalars: the same bits of the same dtype and shape."""
    back = there_and_back(RAW, array)
    assert (back.dtype, back.shape, bits(back)) == (array.dtype, array.shape, bits(array))


@given(arrays, st.sampled_from(("reversed", "transposed", "every second", "big-endian", "Fortran")))
@settings(deadline=None)
def test_raw_keeps_arrays_that_do_not_lie_in_order(array: Array, manner: str) -> None:
    """Views, strides, Fortran order and foreign byte order travel as their values."""
    views = {
        "reversed": array[..., ::-1] if array.ndim else array,
        "transposed": array.T,
        "every second": np.repeat(array, 2, -1)[..., ::2] if array.ndim else array,
        "big-endian": array.astype(array.dtype.newbyteorder(">")),
        "Fortran": np.asfortranarray(array),
    }
    view = views[manner]
    back = there_and_back(RAW, view)
    assert (back.shape, bits(back)) == (view.shape, bits(view))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_raw_keeps_the_strangest_floats(dtype: str) -> None:
    """Signed zero, the smallest denormal, infinities and NaNs of any payload are not touched."""
    info = np.finfo(dtype)
    array = np.array(
        [0.0, -0.0, info.smallest_subnormal, -info.tiny, info.max, np.inf, -np.inf, np.nan, -np.nan], dtype
    )
    assert bits(there_and_back(RAW, array)) == bits(array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_raw_tensor_is_a_plain_open_inference_tensor(dtype: str) -> None:
    """Name, datatype, shape and little-endian bytes in rows, as any server of the protocol takes them."""
    array = np.array([[1, 0], [1, 1]]).astype(dtype)
    head, data = pack(RAW, "x", array)
    assert (head.name, NUMPY_NAME[head.datatype], head.shape) == ("x", dtype, (2, 2))
    assert bytes(data) == array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_raw_does_not_copy() -> None:
    """A tensor that lies in order is sent from where it is."""
    array = np.zeros((3, 4), np.float32)
    assert np.shares_memory(np.asarray(pack(RAW, "x", array)[1]), array)


def test_an_empty_tensor_has_no_bytes() -> None:
    """A tensor without elements still has its head."""
    head, data = pack(RAW, "x", np.zeros((0, 3), np.float32))
    assert (head, bytes(data)) == (TensorHead("x", "FP32", (0, 3)), b"")


@pytest.mark.parametrize(
    ("datatype", "shape", "size", "complaint"),
    [
        ("FP64", (1, 4), 32, r"must be float32 \[-1, 4\], float64 \[1, 4\] came"),
        ("INT32", (1, 4), 16, "int32"),
        ("FP32", (1, 5), 20, r"\[1, 5\] came"),
        ("FP32", (4,), 16, r"\[4\] came"),
        ("FP32", (), 4, r"\[\] came"),
        ("FP32", (1, 4, 1), 16, "came"),
        ("FP32", (-1, 4), 16, "came"),
        ("FP32", (0, 4), 0, "came"),
        ("FP32", (2**63 - 1, 4), 16, "takes 147573952589676412912 bytes, 16 came"),
        ("FP32", (1,) * 100_000, 4, "came"),
        ("FP32", (1, 4), 15, "takes 16 bytes, 15 came"),
        ("FP32", (1, 4), 17, "takes 16 bytes, 17 came"),
        ("FP32", (1, 4), 0, "takes 16 bytes, 0 came"),
        ("BF16", (1, 4), 8, "not supported"),
        ("", (1, 4), 16, "not supported"),
    ],
)
def test_a_raw_tensor_that_is_not_the_plans_is_refused(
    datatype: str, shape: tuple[int, ...], size: int, complaint: str
) -> None:
    """Dtype, rank, each dimension and the number of bytes are checked, frame by frame or once per header alike."""
    head = TensorHead("x", datatype, shape)
    with pytest.raises(WireError, match=complaint) as caught:
        unpack(head, bytes(size), SPEC)
    assert len(str(caught.value)) < 300
    with pytest.raises(WireError, match=complaint):
        layout = raw_layout((head,), {"x": SPEC})
        assert layout is not None
        layout.read((bytes(size),))


def test_a_layout_reads_what_unpack_reads() -> None:
    """Tensors of a known header are the same, and views of the bytes that came."""
    specs = {"x": SPEC, "b": TensorSpec("b", "bool", (2,)), "s": TensorSpec("s", "int64", ())}
    values = {"b": np.array([True, False]), "s": np.array(7), "x": np.arange(8, dtype=np.float32).reshape(2, 4)}
    packed = [pack(RAW, name, array) for name, array in values.items()]
    layout = raw_layout(tuple(head for head, _ in packed), specs)
    assert layout is not None
    data = tuple(bytes(data) for _, data in packed)
    read = layout.read(data)
    for (head, _), raw in zip(packed, data, strict=True):
        array = values[head.name]
        for found in (read[head.name], unpack(head, raw, specs[head.name])):
            assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert np.shares_memory(read["x"], np.frombuffer(data[2], np.uint8))


def test_a_layout_counts_its_tensors() -> None:
    """One buffer too few or too many is refused."""
    layout = raw_layout((TensorHead("x", "FP32", (1, 4)),), {"x": SPEC})
    assert layout is not None
    for raw in ((), (bytes(16), bytes(16))):
        with pytest.raises(CodecError, match=f"1 tensors need as many raw contents, {len(raw)} came"):
            layout.read(raw)


def test_coded_tensors_have_no_layout() -> None:
    """Where any tensor is coded, each frame has to be looked at."""
    head, _ = pack("fp16", "x", np.zeros((1, 4), np.float32))
    assert raw_layout((head,), {"x": SPEC}) is None


def test_a_tensor_the_plan_does_not_know_is_refused() -> None:
    """A name out of nowhere is shown, shortened, beside those there are."""
    with pytest.raises(CodecError, match="is none of x") as caught:
        raw_layout((TensorHead("y" * 1000, "FP32", (1, 4)),), {"x": SPEC})
    assert len(str(caught.value)) < 200


def test_a_bool_is_zero_or_one() -> None:
    """Code that takes a bool's byte for a number would count wrong with any other."""
    spec, head = TensorSpec("x", "bool", (3,)), TensorHead("x", "BOOL", (3,))
    layout = raw_layout((head,), {"x": spec})
    assert layout is not None
    for read in (lambda data: unpack(head, data, spec), lambda data: layout.read((data,))["x"]):
        assert read(b"\x00\x01\x01").tolist() == [False, True, True]
        with pytest.raises(CodecError, match="neither 0 nor 1"):
            read(b"\x00\x02\x01")


HEADERS = {
    "nothing": b"",
    "a number": 5,
    "text": "fp16",
    "a list": ["fp16", "float32", [1, 4]],
    "no shape": {"codec": "fp16", "dtype": "float32"},
    "a shape of text": {"codec": "fp16", "dtype": "float32", "shape": "14"},
    "a shape of infinities": {"codec": "fp16", "dtype": "float32", "shape": [float("inf"), 4]},
    "a shape of NaN": {"codec": "fp16", "dtype": "float32", "shape": [float("nan"), 4]},
    "a shape of fractions": {"codec": "fp16", "dtype": "float32", "shape": [1.0, 4]},
    "a shape of bools": {"codec": "fp16", "dtype": "float32", "shape": [True, 4]},
    "a shape of nothing": {"codec": "fp16", "dtype": "float32", "shape": None},
    "a negative shape": {"codec": "fp16", "dtype": "float32", "shape": [-1, -4]},
    "a shape of zero": {"codec": "fp16", "dtype": "float32", "shape": [0, 4]},
    "a huge shape": {"codec": "fp16", "dtype": "float32", "shape": [2**63, 4]},
    "a long shape": {"codec": "fp16", "dtype": "float32", "shape": [1] * 900},
    "a codec of numbers": {"codec": 7, "dtype": "float32", "shape": [1, 4]},
    "an unknown codec": {"codec": "zip", "dtype": "float32", "shape": [1, 4]},
    "raw, coded": {"codec": "raw", "dtype": "float32", "shape": [1, 4]},
    "another dtype": {"codec": "fp16", "dtype": "float64", "shape": [1, 4]},
    "an object": {"codec": "fp16", "dtype": "object", "shape": [1, 4]},
    "keys that are numbers": {1: 2},
    "a codec too long for a header": {"codec": "f" * 2000, "dtype": "float32", "shape": [1, 4]},
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_is_none_is_refused(what: str) -> None:
    """Whatever stands where a coded tensor's header belongs is a CodecError, short and readable."""
    with pytest.raises(CodecError) as caught:
        unpack(*coded(HEADERS[what], bytes(8)), SPEC)
    assert len(str(caught.value)) < 300


BOMBS = {
    "text of 1 GB": b"\xdb\x40\x00\x00\x00",
    "bytes of 1 GB": b"\xc6\x40\x00\x00\x00",
    "a list of 2**32 entries": b"\xdd\xff\xff\xff\xff",
    "a map of 2**32 entries": b"\xdf\xff\xff\xff\xff",
    "an extension of 1 GB": b"\xc9\x40\x00\x00\x00\x01",
    "a thousand nested lists": b"\x91" * 1000,
    "a thousand nested maps": b"\x81\xa1a" * 340,
    "a list of lists of 2**32 entries": b"\xdd\xff\xff\xff\xff" * 200,
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_header_that_claims_gigabytes_costs_none(what: str) -> None:
    """The header's own lengths are not believed: memory stays within a megabyte."""
    head, data = coded(BOMBS[what], bytes(100), packed=False)
    tracemalloc.start()
    try:
        with pytest.raises(CodecError, match="does not parse"):
            unpack(head, data, SPEC)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 7, 9, 1000])
def test_a_coded_body_of_a_wrong_length_is_refused(size: int) -> None:
    """Behind a good header the bytes must be exactly as many as its shape takes."""
    with pytest.raises(CodecError, match=f"takes 8 bytes, {size} came"):
        unpack(*coded({"codec": "fp16", "dtype": "float32", "shape": [1, 4]}, bytes(size)), SPEC)


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ((1,), b""),
        ((1,), b"\x01"),
        ((1,), b"\x05\x00\x00\x00abcd"),
        ((1,), b"\xff\xff\xff\xffabcd"),
        ((1,), b"\x03\x00\x00\x00abcd"),
        ((1,), b"\x01\x00\x00\x00a\x01\x00\x00\x00b"),
        ((2,), b"\x01\x00\x00\x00a"),
        ((0,), b"\x00\x00\x00\x00"),
        ((1, 1), b"\x00\x00\x00\x00"),
        ((), b"\x00\x00\x00\x00"),
        ((-1,), b""),
        ((2**63 - 1,), b"\x00\x00\x00\x00"),
        ((MAX_BATCH + 1,), b"\x00\x00\x00\x00" * (MAX_BATCH + 1)),
    ],
)
def test_elements_whose_lengths_lie_are_refused(shape: tuple[int, ...], data: bytes) -> None:
    """Shape, lengths and bytes of a BYTES tensor must agree to the last byte, and a batch has its limit."""
    with pytest.raises(CodecError, match="do not add up"):
        blob_elements(TensorHead("x", "BYTES", shape), memoryview(data))


def test_a_million_empty_elements_cost_nothing() -> None:
    """Elements are not even listed beyond the largest batch."""
    data = memoryview(bytes(4_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            blob_elements(TensorHead("x", "BYTES", (1_000_000,)), data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.lists(st.binary(max_size=20), max_size=MAX_BATCH))
@settings(deadline=None)
def test_elements_come_back(elements: list[bytes]) -> None:
    """Lengths in front, in order, empty ones included."""
    head, data = blob("x", *elements)
    assert [bytes(element) for element in blob_elements(head, memoryview(data))] == elements


def test_a_coded_tensor_is_one_element() -> None:
    """Two coded tensors in one are refused."""
    head, data = blob("x", b"a", b"b")
    with pytest.raises(CodecError, match="one BYTES element, 2 came"):
        unpack(head, data, SPEC)


@given(st.binary(max_size=60), st.booleans())
@settings(deadline=None, max_examples=300)
def test_any_bytes_unpack_or_are_refused(data: bytes, framed: bool) -> None:
    """Whatever a coded tensor's bytes are, they fit the plan or are a CodecError."""
    body = struct.pack("<I", len(data)) + data if framed else data
    try:
        array = unpack(TensorHead("x", "BYTES", (1,)), body, SPEC)
    except CodecError:
        return
    assert SPEC.accepts(array.shape, array.dtype.name)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_damaged_coded_tensor_unpacks_or_is_refused(data: st.DataObject) -> None:
    """One change anywhere in a good one gives a tensor of the plan's or a CodecError."""
    head, good = pack("fp16", "x", np.ones((2, 4), np.float32))
    body = bytearray(good)
    at = data.draw(st.integers(0, len(body) - 1))
    body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        array = unpack(head, bytes(body), SPEC)
    except CodecError:
        return
    assert SPEC.accepts(array.shape, array.dtype.name)


def test_an_answer_may_be_empty_a_request_may_not() -> None:
    """A detector that finds nothing answers with zero boxes; nobody asks about zero frames."""
    specs = {"boxes": TensorSpec("boxes", "float32", (None, 4))}
    heads = (TensorHead("boxes", "FP32", (0, 4)),)
    with pytest.raises(CodecError):
        raw_layout(heads, specs)
    layout = raw_layout(heads, specs, least=0)
    assert layout is not None
    assert layout.read((b"",))["boxes"].shape == (0, 4)


def test_a_size_that_a_model_leaves_open_may_be_zero() -> None:
    """The cache before the first word; the number of frames may not."""
    spec = TensorSpec("past", "float32", (None, None, 4), usual=(None, 8, 4))
    assert raw_layout((TensorHead("past", "FP32", (1, 0, 4)),), {"past": spec}) is not None
    with pytest.raises(CodecError):
        raw_layout((TensorHead("past", "FP32", (0, 8, 4)),), {"past": spec})


@pytest.mark.parametrize("shape", [(), (1,), (2, 0, 3), (1, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bool", "int64", "uint8"])
@pytest.mark.parametrize("codec", ["raw", "zstd", "fp16", "q8", "c8", "s4"])
def test_every_codec_takes_every_shape_and_type(codec: str, dtype: str, shape: tuple[int, ...]) -> None:
    """Scalars, empty tensors and types that it does not code among them."""
    spec = TensorSpec("x", dtype, tuple(None if size == 0 else size for size in shape), usual=shape)
    array = np.ones(shape, dtype)
    found = unpack(*pack(codec, "x", array), spec)
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert codec == "s4" or np.allclose(found.astype(float), 1, atol=0.05)


def test_a_coded_tensor_far_larger_than_usual_is_refused() -> None:
    """An open size is no licence to fill a cloud's memory."""
    spec = TensorSpec("x", "float32", (1, None), usual=(1, 4))
    assert unpack(*pack("q8", "x", np.ones((1, 256), np.float32)), spec).shape == (1, 256)
    with pytest.raises(CodecError, match="at most 64 samples of the usual size, 256 numbers"):
        unpack(*pack("q8", "x", np.ones((1, 257), np.float32)), spec)


def test_an_unknown_codec_is_refused_by_name() -> None:
    """The sentence lists the codecs there are."""
    with pytest.raises(InputError, match="unknown codec 'zip'; known: raw, fp16"):
        pack("zip", "x", np.zeros(1, np.float32))
