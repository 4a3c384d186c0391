"""The parts of motion JPEG, as different cameras write them."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.edge.sources.cameras.motion_jpeg import MOST_BYTES, pictures

A, B = b"\xff\xd8first\r\n--not\r\n\xff\xd9", b"\xff\xd8second\n\xff\xd9"


def body(*parts: bytes, length: bool, before: bytes = b"", border: bytes = b"--f") -> bytes:
    """A whole body; without ``length`` a part ends at the next boundary."""
    written = before
    for part in parts:
        size = b"Content-Length: %d\r\n" % len(part) if length else b""
        written += border + b"\r\nContent-Type: image/jpeg\r\n" + size + b"\r\n" + part + b"\r\n"
    return written + border + b"--\r\n"


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("boundary", ["f", "--f", '"f"', "-f"])
@pytest.mark.parametrize("before", [b"", b"\r\n", b"preamble\r\n"])
def test_every_part_is_found(length: bool, boundary: str, before: bytes) -> None:
    """With and without lengths; the header's boundary with dashes, quotes or neither; something before the first."""
    assert list(pictures(io.BytesIO(body(A, B, length=length, before=before)), boundary)) == [A, B]


def test_a_part_that_breaks_off_is_none() -> None:
    """A connection that drops within a picture ends the stream before it."""
    whole = body(A, B, length=True)
    assert list(pictures(io.BytesIO(whole[: whole.index(b"second") + 3]), "f")) == [A]
    bare = body(A, B, length=False)
    assert list(pictures(io.BytesIO(bare[: bare.index(b"second") + 3]), "f")) == [A]


@pytest.mark.parametrize(
    "sent", [b"x\n" * 2000, b"--f\r\nContent-Length: %d\r\n\r\n" % (MOST_BYTES + 1)], ids=["no parts", "too large"]
)
def test_what_is_no_motion_jpeg_is_refused(sent: bytes) -> None:
    """Endless lines and endless pictures fill no memory."""
    with pytest.raises(ValueError, match=r"it sends no parts|it announces a picture"):
        list(pictures(io.BytesIO(sent), "f"))


@given(st.binary(max_size=300), st.text(max_size=5))
def test_any_bytes_are_parts_or_an_end(sent: bytes, boundary: str) -> None:
    """Nothing but a ValueError comes of damaged bodies."""
    try:
        assert all(pictures(io.BytesIO(sent), boundary))
    except ValueError as error:
        assert str(error).startswith("it ")
