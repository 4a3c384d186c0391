"""The hand-written part of protobuf's wire format."""

import mmap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import WireError
from partway.proto.protowire import (
    FIXED32,
    FIXED64,
    LENGTH,
    MAX_FIELDS,
    VARINT,
    Truncated,
    fields,
    read_varint,
    scan,
    varint,
)

VARINTS = [
    (0, "00"),
    (1, "01"),
    (127, "7f"),
    (128, "80 01"),
    (300, "ac 02"),
    (2**32, "80 80 80 80 10"),
    (2**63, "80 80 80 80 80 80 80 80 80 01"),
    (2**64 - 1, "ff ff ff ff ff ff ff ff ff 01"),
]

FIELDS = [
    ("", []),
    ("08 96 01", [(1, VARINT, 0, 1, 3)]),
    ("0a 00", [(1, LENGTH, 0, 2, 2)]),
    ("3a 02 61 62", [(7, LENGTH, 0, 2, 4)]),
    ("0d 01 02 03 04", [(1, FIXED32, 0, 1, 5)]),
    ("09 01 02 03 04 05 06 07 08", [(1, FIXED64, 0, 1, 9)]),
    ("0a 01 6d 10 05", [(1, LENGTH, 0, 2, 3), (2, VARINT, 3, 4, 5)]),
    ("82 7d 01 2a", [(2000, LENGTH, 0, 3, 4)]),
    ("ba 80 00 01 2a", [(7, LENGTH, 0, 4, 5)]),
]

MALFORMED = {
    "a tag is cut short": "80",
    "a length is cut short": "0a 80",
    "a length is missing": "0a",
    "a varint is cut short": "08 ff",
    "a varint is eleven bytes long": "08 80 80 80 80 80 80 80 80 80 80 01",
    "a varint is above 64 bits": "08 ff ff ff ff ff ff ff ff ff 02",
    "a field is longer than the message": "0a 05 61",
    "two gigabytes are announced": "3a 80 80 80 80 08 61",
    "2**63 bytes are announced": "3a 80 80 80 80 80 80 80 80 80 01",
    "eight bytes are cut short": "09 01 02",
    "four bytes are cut short": "0d 01",
    "a group starts": "0b",
    "a group ends": "0c",
    "the wire type is 6": "0e 00",
    "the wire type is 7": "0f 00",
    "the field number is 0": "02 00",
}


@pytest.mark.parametrize(("value", "written"), VARINTS)
def test_a_varint_is_written_and_read_as_protobuf_says(value: int, written: str) -> None:
    """Numbers and bytes agree in both directions, and the offset behind the number is told."""
    data = bytes.fromhex(written)
    assert varint(value) == data
    assert read_varint(data, 0) == (value, len(data))
    assert read_varint(b"\xff" + data + b"\xff", 1) == (value, len(data) + 1)


@given(st.integers(0, 2**64 - 1))
@settings(deadline=None)
def test_every_varint_comes_back(value: int) -> None:
    """Reading undoes writing over the whole range."""
    assert read_varint(varint(value), 0) == (value, len(varint(value)))


@pytest.mark.parametrize(("written", "expected"), FIELDS)
def test_a_scan_lists_every_top_level_field(written: str, expected: list[tuple[int, ...]]) -> None:
    """Number, wire type and place of each field are found; the same in the middle of a larger buffer."""
    data = bytes.fromhex(written)
    assert scan(data) == expected
    moved = [(number, kind, start + 3, body + 3, end + 3) for number, kind, start, body, end in expected]
    assert scan(b"\xff\xff\xff" + data + b"\xff", 3, 3 + len(data)) == moved


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_message_is_refused(what: str) -> None:
    """Each way to break the format is one WireError with a sentence."""
    with pytest.raises(WireError, match="the message is malformed"):
        scan(bytes.fromhex(MALFORMED[what]))


@pytest.mark.parametrize("written", ["08 96 01", "0a 01 6d", "0d 01 02 03 04", "3a 80 01"])
def test_a_field_may_not_reach_past_the_end_of_its_message(written: str) -> None:
    """What follows a nested message in the buffer does not count as its own."""
    data = bytes.fromhex(written)
    with pytest.raises(WireError):
        scan(data + bytes(200), 0, len(data) - 1)


def test_too_many_fields_are_refused() -> None:
    """A message of as many fields as allowed is listed, one more is refused, a million cost no million entries."""
    assert len(scan(b"\x3a\x00" * MAX_FIELDS)) == MAX_FIELDS
    for count in (MAX_FIELDS + 1, 1_000_000):
        with pytest.raises(WireError, match="too many fields"):
            scan(b"\x3a\x00" * count)


def test_the_fields_of_a_file_have_no_limit_and_are_read_from_mapped_memory(tmp_path: Path) -> None:
    """A model file may hold any number of fields; a mapped file reads like its bytes."""
    written = b"\x3a\x00" * (MAX_FIELDS + 1)
    (tmp_path / "file").write_bytes(written)
    with (tmp_path / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(1 for _ in fields(mapped, 0, len(mapped))) == MAX_FIELDS + 1


@pytest.mark.parametrize("written", ["80", "0a 05 61", "09 01 02", "08 ff"])
def test_a_message_that_ends_too_soon_is_told_from_one_that_is_none(written: str) -> None:
    """Truncated names what is cut short; a group is another WireError."""
    with pytest.raises(Truncated):
        scan(bytes.fromhex(written))
    with pytest.raises(WireError) as caught:
        scan(b"\x0b")
    assert not isinstance(caught.value, Truncated)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_listed_whole_or_refused(data: bytes) -> None:
    """The fields found cover the bytes without gap or overlap; anything else is a WireError."""
    try:
        found = scan(data)
    except WireError:
        return
    assert [start for _, _, start, _, _ in found] == [0, *(end for *_, end in found)][: len(found)]
    assert all(start < body <= end for _, _, start, body, end in found)
    assert not found or found[-1][-1] == len(data)
