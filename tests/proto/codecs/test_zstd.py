"""Lossless coding keeps every bit, and a compressed tensor never opens beyond what the plan announces."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.support.codecs import there_and_back

from partway.errors import CodecError
from partway.proto.codecs.packing import pack
from partway.proto.codecs.registry import codec_names, is_lossless
from partway.proto.codecs.uniform import Levels
from partway.proto.codecs.zstd import Zstd, decompressed
from partway.proto.datatypes import NUMPY_NAME

Array = np.ndarray[Any, Any]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=7)
SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf, 1e-310, 5e-324, 1.5, 65504.0)


@given(st.sampled_from(tuple(NUMPY_NAME.values())).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)))
@settings(deadline=None)
def test_lossless_is_lossless_for_every_dtype(array: Array) -> None:
    """Whatever the bits are, the very same come out."""
    back = there_and_back("zstd", array)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("codec", filter(is_lossless, codec_names()))
@pytest.mark.parametrize("dtype", NUMPY_NAME.values())
def test_lossless_is_lossless_for_what_tensors_are_like(dtype: str, codec: str) -> None:
    """Zeros, all equal, any bits at all (NaN with payloads, infinities, denormals), small numbers, and mostly zeros."""
    rng = np.random.default_rng(0)
    size = np.dtype(dtype).itemsize
    for shape in ((), (1,), (1, 1000), (2, 3, 5, 7), (1, 14, 14, 64), (1, 64, 14, 14)):
        count = int(np.prod(shape))
        noise = rng.integers(0, 2 if dtype == "bool" else 256, count * size, np.uint8).view(dtype)
        some = np.where(rng.random(count) < 0.05, noise, np.zeros(1, dtype))
        low = np.where(np.arange(count * size) % size == 0, rng.integers(0, 2, count * size), 0).astype(np.uint8)
        for values in (np.zeros(count, dtype), np.repeat(noise[:1], count), noise, some, low.view(dtype)):
            array = values.reshape(shape)
            back = there_and_back(codec, array)
            assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 5, 6, 40), (1, 40, 6, 5), (3, 400), (1200,)])
def test_lossless_keeps_what_floats_have_of_special_values(dtype: str, shape: tuple[int, ...]) -> None:
    """NaN, infinities, denormals and both zeros, among sparse values as ReLU leaves them."""
    rng = np.random.default_rng(0)
    sparse = np.maximum(rng.standard_normal(shape), 0)
    with np.errstate(over="ignore", under="ignore"):
        array = np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), sparse).astype(dtype)
    head, data = pack("zstd", "x", array)
    assert there_and_back("zstd", array).tobytes() == array.tobytes()
    assert head.datatype == "BYTES"
    assert len(data) < array.nbytes


@pytest.mark.parametrize("codec", [Zstd(), Levels(5)])
def test_a_bomb_is_refused_before_it_opens(codec: Any) -> None:
    """A gigabyte of zeros takes kilobytes; announcing it is enough to be refused."""
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 26))
    head = b"\0" * 16 if isinstance(codec, Levels) else b""
    with pytest.raises(CodecError, match="must announce 4"):
        codec.decode(memoryview(head + bomb), "float32", (1,) if isinstance(codec, Zstd) else (4,))


BOMB = """
import resource
import zstandard
from partway.proto.codecs.registry import codec
from partway.errors import CodecError

parts = [zstandard.ZstdCompressor(level=1, write_content_size=says).compressobj(size) for says, size in MADE]
honest, silent = (b"".join([*(p.compress(bytes(1 << 24)) for _ in range(64)), p.flush()]) for p in parts)
at = honest.index((1 << 30).to_bytes(4, "little"))
liar = honest[:at] + (1 << 18).to_bytes(4, "little") + honest[at + 4 :]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, head, dtype, shape in CASES:
    for bomb in (honest, silent, liar):
        try:
            codec(name).decode(memoryview(head + bomb), dtype, shape)
            raise SystemExit(f"{name} let a bomb through")
        except CodecError:
            pass
print(len(honest), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_gigabyte_that_a_few_kilobytes_claim_takes_no_memory() -> None:
    """Announced, not announced, and announced as what the plan expects: refused, the process as small as it was."""
    cases = [("zstd", b"", "uint8", (1, 1 << 18)), ("q5", bytes(16), "float32", (1, 1 << 18))]
    cases += [("c5", b"\1" + bytes(512), "float32", (1, 64, 64, 64)), ("s4", b"", "int8", (1, 1 << 18))]
    names = f"MADE, CASES = ((True, 1 << 30), (False, -1)), {cases}\n"
    done = subprocess.run([sys.executable, "-c", names + BOMB], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    sent_bytes, grown_kilobytes = map(int, done.stdout.split())
    assert sent_bytes < 1 << 17
    assert grown_kilobytes < 16 << 10


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    """More, less, none, cut short, and bytes behind it."""
    good = zstandard.ZstdCompressor(level=1).compress(bytes(range(100)))
    silent = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(bytes(100))
    assert decompressed(memoryview(good), 100) == bytes(range(100))
    for body, size in (
        (good, 99),
        (good, 101),
        (silent, 100),
        (good[:-3], 100),
        (b"", 0),
        (good + b"x", 100),
        (b"no", 2),
    ):
        with pytest.raises(CodecError):
            decompressed(memoryview(body), size)
