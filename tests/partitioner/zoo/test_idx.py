"""IDX files, sound ones and every kind of broken one."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.errors import InputError
from partway.partitioner.zoo.idx import is_idx, read_idx

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array: np.ndarray) -> bytes:
    """The array as an IDX file."""
    head = struct.pack(">BBBB", 0, 0, CODES[array.dtype.name], array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def saved(folder: Path, content: bytes, name: str = "x.idx") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_every_type_plain_and_gzipped(tmp_path, dtype, pack):
    """What was written comes back with its type, shape and values, in the machine's own byte order."""
    array = (np.arange(24).reshape(2, 3, 4) - 5).astype(dtype)
    path = saved(tmp_path, pack(idx(array)))
    read = read_idx(path)
    assert is_idx(path)
    assert read.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read, array)


def test_the_array_is_the_readers_own(tmp_path):
    """The array may be written to."""
    read_idx(saved(tmp_path, idx(np.zeros((2, 2), np.uint8))))[0, 0] = 1


def test_gzip_is_recognised_by_content(tmp_path):
    """A gzipped file may have any name, and a plain one may be called .gz."""
    array = np.arange(3, dtype=np.uint8)
    for name, content in (("a.bin", gzip.compress(idx(array))), ("b.gz", idx(array))):
        np.testing.assert_array_equal(read_idx(saved(tmp_path, content, name)), array)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="another format"),
        pytest.param(b"\0\0\x08\x00", id="no dimensions"),
        pytest.param(b"\0\0\x0a\x01\0\0\0\x01a", id="unknown type"),
        pytest.param(b"\0\0\x08\x03\0\0\0\x01", id="header cut off"),
        pytest.param(idx(np.zeros(5, np.uint8))[:-1], id="a byte short"),
        pytest.param(idx(np.zeros(5, np.uint8)) + b"x", id="a byte long"),
        pytest.param(b"\0\0\x08\x03" + b"\xff" * 12 + b"abc", id="claims 2**96 bytes"),
        pytest.param(b"\0\0\x08\x02" + b"\0\0\0\0" + b"\xff" * 4, id="claims nothing"),
        pytest.param(gzip.compress(idx(np.arange(90, dtype=np.uint8)))[:-12], id="gzip cut off"),
        pytest.param(gzip.compress(idx(np.zeros(90, np.uint8)))[:-8] + bytes(8), id="gzip checksum wrong"),
        pytest.param(b"\x1f\x8b\x08\0garbage follows here", id="gzip garbage"),
    ],
)
def test_a_damaged_file_is_one_sentence_with_its_name(tmp_path, content):
    """Truncated, lying or foreign files raise InputError that names the file and says what to do."""
    path = saved(tmp_path, content)
    with pytest.raises(InputError, match=r"x\.idx.*; [^\n]*(check|copy)[^\n]*$"):
        read_idx(path)


def test_missing_files_and_folders_are_told_apart_from_damage(tmp_path):
    """What cannot be opened is an InputError with the system's reason; sniffing it is just False."""
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        assert not is_idx(path)
        with pytest.raises(InputError, match=reason):
            read_idx(path)


def test_other_files_are_not_taken_for_idx(tmp_path):
    """The sniff looks inside gzip, and says no to what is not IDX there."""
    for content in (b"", b"\0\0", b"\x89PNG", gzip.compress(b"hello"), gzip.compress(b"hello")[:6]):
        assert not is_idx(saved(tmp_path, content))


@given(content=st.binary(max_size=64) | st.binary(max_size=40).map(lambda tail: b"\0\0\x08\x01\0\0\0\x02" + tail))
def test_any_bytes_give_an_array_or_an_input_error(tmp_path_factory, content):
    """No content whatever raises anything but InputError."""
    path = saved(tmp_path_factory.getbasetemp(), content, "any.idx")
    try:
        assert read_idx(path).size
    except InputError as error:
        assert "any.idx" in str(error)


def test_reads_mnist(data):
    """The published test set has 10,000 images of 28 x 28 and as many labels."""
    assert read_idx(data / "mnist" / "t10k-images-idx3-ubyte.gz").shape == (10000, 28, 28)
    assert np.bincount(read_idx(data / "mnist" / "t10k-labels-idx1-ubyte.gz")).sum() == 10000
