"""Frames from standard input: raw pictures and .npy arrays, whole, broken off and damaged."""

import io
import os
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.mnist_plans import PICTURES, TENSORS

from partway.edge.sources.stdin import MOST_BYTES, open_stdin, parse_shape, stdin_items
from partway.errors import InputError


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (40, 30, 3), (9, 9, 4)])
def test_raw_frames_are_read_back_to_back(shape: tuple[int, ...]) -> None:
    """uint8 pictures of the shape given, one after another, in the bytes' own order."""
    frames = [np.full(shape, 255 if shape[-1] == 4 else 40 * index, np.uint8) for index in range(4)]
    items = list(stdin_items(io.BytesIO(b"".join(frame.tobytes() for frame in frames)), PICTURES, shape))
    assert [item.name for item in items] == [f"stdin[{index}]" for index in range(4)]
    for item, frame in zip(items, frames, strict=True):
        pixels = item.read().pixels
        assert pixels is not None
        assert np.abs(pixels.astype(int) - int(frame[0, 0].flat[0])).max() <= 1


def test_a_stream_of_npy_is_read() -> None:
    """Pictures and tensors as numpy.save writes them, C and Fortran order, both format versions."""
    stream = io.BytesIO()
    tensors = [np.arange(784, dtype=np.float32).reshape(1, 28, 28) + index for index in range(3)]
    np.save(stream, tensors[0])
    np.save(stream, np.asfortranarray(tensors[1][None]))
    np.lib.format.write_array(stream, tensors[2], version=(2, 0))
    np.save(stream, np.full((50, 60, 3), 9, np.uint8))
    stream.seek(0)
    *found, picture = [item.read() for item in stdin_items(stream, PICTURES, None)]
    for sample, tensor in zip(found, tensors, strict=True):
        assert sample.values is not None
        np.testing.assert_array_equal(sample.values["image"], tensor[None])
    assert picture.pixels is not None
    assert (picture.pixels == 9).all()


@pytest.mark.parametrize(
    ("data", "shape", "says"),
    [
        (b"x" * 1000, (28, 28), "ended after 216 of a frame's 784 bytes"),
        (b"hello", None, "holds no .npy here"),
        (b"\x93NUMPY\x09\x00aaaa", None, "holds no .npy here"),
    ],
)
def test_a_stream_that_breaks_off_costs_no_other_frame(data: bytes, shape: Any, says: str) -> None:
    """What is no whole frame becomes one last item whose reading says why."""
    *good, last = stdin_items(io.BytesIO(data), PICTURES, shape)
    assert len(good) == (1 if shape else 0)
    with pytest.raises(InputError, match=says):
        last.read()


def test_an_array_that_only_claims_to_be_large_is_refused() -> None:
    """A header alone allocates nothing, and objects are never unpickled."""
    for dtype, shape in (("<f8", (1 << 20, 1 << 20)), ("|O", (1,))):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
        stream.seek(0)
        (item,) = stdin_items(stream, TENSORS, None)
        with pytest.raises(InputError, match="is not a frame"):
            item.read()


@settings(max_examples=150, deadline=None)
@given(drawn=st.data())
def test_no_damaged_stream_ends_in_anything_but_a_sentence(drawn: st.DataObject) -> None:
    """Bytes overwritten, cut off or added anywhere: frames are read, or refused with an InputError."""
    file = io.BytesIO()
    np.save(file, np.zeros((1, 28, 28), np.float32))
    body = bytearray(file.getvalue())
    for _ in range(drawn.draw(st.integers(0, 4))):
        body[drawn.draw(st.integers(0, 200))] = drawn.draw(st.integers(0, 255))
    damaged = bytes(body[: drawn.draw(st.integers(0, len(body)))]) + drawn.draw(st.binary(max_size=4))
    for item in islice(stdin_items(io.BytesIO(damaged), PICTURES, None), 5):
        try:
            item.read()
        except InputError as error:
            assert "stdin[" in str(error)


@pytest.mark.parametrize("text", ["480x640x3", "28x28", "16384x16384"])
def test_shapes_are_read(text: str) -> None:
    """Height, width and, where there are several, channels."""
    assert "x".join(map(str, parse_shape(text))) == text


@pytest.mark.parametrize("text", ["", "480", "0x5", "480x640x2", "axb", "99999x99999x3", "16384x16385", "-1x5"])
def test_shapes_that_cannot_be_are_refused(text: str) -> None:
    """The sentence gives an example."""
    with pytest.raises(InputError, match="for example 480x640x3"):
        parse_shape(text)


@given(st.text(st.sampled_from("0123456789x-+ "), max_size=20))
def test_any_text_is_a_shape_or_a_sentence(text: str) -> None:
    """A shape that is accepted has two or three sides and is a frame of at most MOST_BYTES."""
    try:
        shape = parse_shape(text)
    except InputError as error:
        assert repr(text) in str(error)
        assert "\n" not in str(error)
    else:
        assert len(shape) in (2, 3)
        assert 0 < np.prod(shape) <= MOST_BYTES


def test_a_stream_without_a_byte_holds_no_frame() -> None:
    """An empty input is neither a frame nor a fault."""
    assert list(stdin_items(io.BytesIO(), PICTURES, (28, 28))) == []
    assert list(stdin_items(io.BytesIO(), TENSORS, None)) == []


def test_raw_pictures_need_a_model_that_takes_pictures() -> None:
    """A shape for a model of tensors is refused before a byte is read."""
    stream = io.BytesIO(bytes(784))
    with pytest.raises(InputError, match=r"which this model does not take; send its tensors as \.npy"):
        next(stdin_items(stream, TENSORS, (28, 28)))
    assert stream.tell() == 0


@given(st.integers(1, 9), st.integers(1, 9), st.binary(max_size=200))
def test_every_byte_of_a_raw_stream_belongs_to_a_frame_or_is_reported(height: int, width: int, data: bytes) -> None:
    """Whole frames come first; bytes that remain become one last item that says how many there were."""
    size = height * width
    items = list(stdin_items(io.BytesIO(data), PICTURES, (height, width)))
    whole, remaining = divmod(len(data), size)
    assert len(items) == whole + (remaining > 0)
    for item in items[:whole]:
        item.read()
    if remaining:
        with pytest.raises(InputError, match=rf"stdin\[{whole}\].* after {remaining} of a frame's {size} bytes"):
            items[-1].read()


@pytest.mark.parametrize("shape", [(28, 28), None])
def test_a_frame_in_a_pipe_is_taken_before_the_next_one_is_written(shape: tuple[int, int] | None) -> None:
    """A program that writes slowly, in small pieces, gets its first answer while it still writes."""
    body = bytes(range(256)) * 3 + bytes(16)
    if shape is None:
        file = io.BytesIO()
        np.save(file, np.frombuffer(body, np.uint8).reshape(28, 28))
        body = file.getvalue()
    out, into = os.pipe()
    first_taken = threading.Event()

    def write() -> None:
        for _ in range(2):
            for start in range(0, len(body), 100):
                os.write(into, body[start : start + 100])
            assert first_taken.wait(30), "the first frame was not taken while the pipe was open"
        os.close(into)

    writer = threading.Thread(target=write)
    writer.start()
    with open(out, "rb") as stream:  # noqa: PTH123 - a file descriptor
        items = stdin_items(stream, PICTURES, shape)
        first = next(items).read()
        first_taken.set()
        (second,) = items
        np.testing.assert_array_equal(first.pixels, second.read().pixels)
    writer.join(30)
    assert first.pixels is not None
    np.testing.assert_array_equal(first.pixels.reshape(-1)[:256], np.arange(256))


def test_an_array_that_does_not_fit_costs_only_its_own_frame() -> None:
    """A whole array of another shape is refused when it is read, and the stream goes on behind it."""
    stream = io.BytesIO()
    for shape in ((1, 28, 28), (3, 3), (1, 28, 28)):
        np.save(stream, np.zeros(shape, np.float32))
    stream.seek(0)
    first, wrong, last = stdin_items(stream, TENSORS, None)
    with pytest.raises(InputError, match=r"stdin\[1\]: image must be \[1, 1, 28, 28\] \(one frame\), not \[3, 3\]"):
        wrong.read()
    assert first.read().values is not None
    assert last.read().values is not None


def test_numbers_outside_the_models_type_are_refused() -> None:
    """An .npy in the pipe is checked as one in a file."""
    stream = io.BytesIO()
    np.save(stream, np.full((1, 1, 28, 28), 1e39))
    (item,) = stdin_items(io.BytesIO(stream.getvalue()), TENSORS, None)
    with pytest.raises(InputError, match=r"stdin\[0\]: image is float32, .*; 1e\+39 is outside"):
        item.read()


def test_a_closed_standard_input_and_one_that_fails_are_sentences(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``<&-``, and a folder in its place."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="standard input is closed; pipe frames into it, or give another --input"):
        open_stdin("-", PICTURES)

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise IsADirectoryError(21, "Is a directory")

    (item,) = stdin_items(Failing(), PICTURES, (28, 28))
    with pytest.raises(InputError, match=r"stdin\[0\]: standard input cannot be read.*Is a directory"):
        item.read()
