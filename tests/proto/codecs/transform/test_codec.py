"""Transform coding: what is sent comes back within half a step, and nothing that lies is believed."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.codecs import smooth

from partway.errors import CodecError
from partway.partitioner.calibrate.fit_transform import fit
from partway.proto.codecs.packing import pack
from partway.proto.codecs.transform.codebook import codebook, to_json
from partway.proto.codecs.transform.codec import Transform, read_counts
from partway.proto.protowire import varint

RNG = np.random.default_rng(0)


FLOATS = smooth((6, 9, 5))


CODECS = {
    "NCHW": fit(FLOATS, "NCHW").transform("t30", 0.3),
    "NHWC": fit(smooth((6, 9, 5)).clip(-128, 127).astype(np.int8), "NHWC").transform("t30", 0.3),
    "tokens": fit(smooth((7, 12)), "NCHW").transform("t20", 0.2),
    "vector": fit(smooth((300,)), "NHWC").transform("t50", 0.5),
}


@pytest.mark.parametrize("name", CODECS)
def test_every_coefficient_that_is_sent_is_off_by_half_a_step_at_most(name: str) -> None:
    """Noise far from anything calibration saw as well, which escapes."""
    codec = CODECS[name]
    wild = RNG.standard_normal((2, *codec.basis.shape)) * 60
    array = wild.clip(-128, 127).astype(codec.dtype)
    back = codec.decode(memoryview(codec.encode(array)), codec.dtype, array.shape)
    loose = Transform(codec.name, "float32", codec.basis, codec.steps, codec.segments, codec.lengths, -1e9, 1e9)
    free = loose.decode(memoryview(codec.encode(array)), "float32", array.shape)
    step = codec.steps.T[codec.basis.bands]
    for sample, decoded in zip(array, free, strict=True):
        sent = codec.segments.T[codec.basis.bands] != 255
        off = np.abs(codec.basis.forward(sample.astype(np.float32)) - codec.basis.forward(decoded))
        assert (off <= step * 0.5 + 0.02)[sent].all()
    assert (back.dtype.name, back.shape) == (codec.dtype, array.shape)
    assert codec.low <= back.min()
    assert back.max() <= codec.high


def test_it_sends_far_less_and_errs_little() -> None:
    """On what it was fitted to: a tenth of the bytes at an error of a tenth."""
    codec = CODECS["NCHW"]
    body = codec.encode(FLOATS[:8])
    error = codec.decode(memoryview(body), "float32", (8, 6, 9, 5)) - FLOATS[:8]
    assert len(body) < FLOATS[:8].nbytes / 8
    assert np.linalg.norm(error) < 0.25 * np.linalg.norm(FLOATS[:8])


@given(st.sampled_from(sorted(CODECS)), st.integers(0, 10**6), st.data())
@settings(deadline=None, max_examples=200)
def test_damaged_bytes_decode_or_are_refused(name: str, seed: int, data: st.DataObject) -> None:
    """Cut short, lengthened, and with bytes changed: a tensor of the right shape or CodecError, nothing else."""
    codec = CODECS[name]
    sample = (np.random.default_rng(seed).standard_normal((1, *codec.basis.shape)) * 20).astype(codec.dtype)
    body = bytearray(codec.encode(sample))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    try:
        made = codec.decode(memoryview(bytes(body[:cut]) + data.draw(st.binary(max_size=3))), codec.dtype, sample.shape)
    except CodecError:
        return
    assert made.shape == sample.shape


def test_lying_counts_cost_no_memory() -> None:
    """A stream said to hold gigabytes is refused for what the plan knows of it."""
    codec = CODECS["NCHW"]
    parts = codec.code.used + 1
    lie = varint((1 << 28) - 1) * parts
    tracemalloc.start()
    with pytest.raises(CodecError):
        codec.decode(memoryview(lie + bytes(1000)), "float32", (1, 6, 9, 5))
    with pytest.raises(CodecError):
        codec.decode(memoryview(varint(100_000) + bytes(parts - 1) + bytes(100_000)), "float32", (1, 6, 9, 5))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_counts_end_where_they_should() -> None:
    """Small and large counts come back; a count cut short, too long or too large is refused."""
    numbers = (0, 1, 127, 128, 300, (1 << 28) - 1)
    body = b"".join(map(varint, numbers))
    assert read_counts(memoryview(body), 0, len(numbers)) == (list(numbers), len(body))
    for bad in (body[:-1], b"\x80" * 6, b"\x80" * 12 + b"\1", varint(1 << 28)):
        with pytest.raises(CodecError):
            read_counts(memoryview(bad), 0, len(numbers) if bad == body[:-1] else 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_sent_raw(value: float) -> None:
    """A cosine of infinity says nothing."""
    array = FLOATS[:1].copy()
    array[0, 1, 2, 3] = value
    head, data = pack("t30", "x", array, codebook([to_json("x", [CODECS["NCHW"]])]))
    assert head.datatype == "FP32"
    assert bytes(data) == array.tobytes()
