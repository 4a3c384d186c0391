"""A temporary file for frames that do not fit into memory: lines are appended and read again."""

from __future__ import annotations

import io
import logging
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO

log = logging.getLogger("partway.edge")


class Spill:
    """Lines on disk. A disk that is full ends no run: later lines are left out, with one warning."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._end = 0
        self._full = False

    def append(self, line: str) -> None:
        """Write one line, without a buffer: writing many at once would delay a frame."""
        if self._full:
            return
        data = line.encode() + b"\n"
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with this object
                weakref.finalize(self, self._file.close)
            written = self._file.write(data)
            if written < len(data):
                raise OSError(None, "no space left on device")
        except OSError as error:
            self._stop(error)
        else:
            self._end += len(data)

    def _stop(self, error: OSError) -> None:
        self._full = True
        if self._file is not None:
            self._file.truncate(self._end)
        reason = (error.strerror or str(error)).lower()
        log.warning(
            "the temporary folder cannot hold the frames for --json (%s); the report leaves frames out;"
            " set TMPDIR to a folder with more space",
            reason,
        )

    def lines(self) -> Iterator[bytes]:
        """All lines, in the order in which they were written."""
        if self._file is None:
            return
        self._file.seek(0)
        reader = io.BufferedReader(self._file)  # type: ignore[type-var]  # without a buffer it is a raw file
        try:
            while line := reader.readline():  # `yield from` would close the file if a caller stops early
                yield line
        finally:
            reader.detach()
            self._file.seek(self._end)
