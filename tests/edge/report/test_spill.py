"""Frames on disk: the lines as they were written, and a full disk that ends nothing."""

import logging
import tempfile
from typing import Any

import pytest

from partway.edge.report.spill import Spill


def test_lines_come_back_in_order_and_more_than_once() -> None:
    """Also between two lines that are appended."""
    spill = Spill()
    assert list(spill.lines()) == []
    for number in range(3):
        spill.append(f"line {number} ü")
        assert [line.decode() for line in spill.lines()] == [f"line {n} ü\n" for n in range(number + 1)]


def test_reading_that_ends_early_loses_nothing() -> None:
    """The next line goes to the end, wherever a reader stopped."""
    spill = Spill()
    spill.append("a")
    spill.append("b")
    next(spill.lines())
    spill.append("c")
    assert list(spill.lines()) == [b"a\n", b"b\n", b"c\n"]


TEMPORARY = tempfile.TemporaryFile


class Small:
    """A file on a disk with so many bytes left."""

    def __init__(self, most: int) -> None:
        self.file, self.most = TEMPORARY(buffering=0), most

    def write(self, data: bytes) -> int:
        written = self.file.write(data[: self.most - self.file.tell()])
        if not written:
            raise OSError(28, "No space left on device")
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("most", [4, 5, 6, 7])
def test_a_full_disk_is_one_warning_and_no_damaged_line(
    most: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the disk takes none or a part of the line that does not fit."""
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: Small(most))
    spill = Spill()
    with caplog.at_level(logging.WARNING):
        for line in ("abc", "def", "ghi"):
            spill.append(line)
    assert list(spill.lines()) == [b"abc\n"]
    (warning,) = caplog.messages
    assert "no space left on device" in warning


def test_a_temporary_folder_that_cannot_be_written_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on; the report has no such frames."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    spill = Spill()
    spill.append("a")
    assert list(spill.lines()) == []
    assert "TMPDIR" in caplog.messages[0]
