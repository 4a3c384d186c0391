"""The frame of every command line: standard streams, sentences for errors, exit codes.

A command may be started with closed streams (``>&-``), with a reader that leaves (``| head -1``), or on a full disk.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import TextIO

from partway.errors import PartwayError
from partway.units import shown

log = logging.getLogger("partway")
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Of an OSError: the disk, or this user's share of it, is full."""
INTERRUPTED = 130
NATIVE_SOURCES = ("cv2", "sounddevice")
READERS = ("source", "camera")
"""Names of the threads that read inputs."""
JOIN_S = 1.0


class Sentences(logging.Formatter):
    """Log records on one line each, without control characters and credentials."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        record.message = shown(record.getMessage())
        return self.formatMessage(record)


def run_command(name: str, body: Callable[[], int], interrupted: str = "") -> int:
    """Run a command and return its exit code: its own, that of its error, 130 if interrupted, 1 if output is lost.

    ``interrupted``: what is said after Ctrl-C.
    """
    open_streams()
    warnings.filterwarnings("ignore", message=".*decompression bomb")  # of Pillow: Partway has a limit of its own
    try:
        code = body()
    except PartwayError as error:
        code = _fail(name, str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _fail(name, interrupted, INTERRUPTED)
    except BrokenPipeError:
        code = 1
    except OSError as error:
        if error.errno not in FULL and _flush() is None:
            raise
        what = error.filename or "standard output or a file"
        code = _fail(name, f"{what} cannot be written ({error.strerror}); make room on its disk and run it again", 1)
    except SystemExit as end:  # of --help, --version or a mistake in the arguments
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if _finish(name, code) == code:
            raise
        return 1
    return _finish(name, code)


def leave_threads(code: int) -> None:
    """End the process now if a daemon thread still waits in native code for a camera or a microphone.

    Python's own end would stop such a thread inside C++, which aborts the process. Everything else has ended before.
    """
    if not any(module in sys.modules for module in NATIVE_SOURCES):
        return
    end_s = time.monotonic() + JOIN_S
    for thread in threading.enumerate():
        if thread.daemon and thread.name in READERS:
            thread.join(max(0.0, end_s - time.monotonic()))
            if thread.is_alive():
                sys.stderr.flush()
                os._exit(code)


def print_error(name: str, sentence: str) -> None:
    """Print ``NAME: SENTENCE`` to standard error, on one line. It never fails: there is no other place to say it."""
    try:
        sys.stderr.write(f"{name}: {shown(sentence)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # the reader left, the disk is full, or the stream is closed
        _discard(sys.stderr)


def print_line(text: str) -> None:
    """Print a line of a service. If standard output cannot be written, it logs one warning, and the service goes on."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        log.warning("%s; this service goes on without it", unwritable(error))
        _discard(sys.stdout)


def unwritable(error: OSError) -> str:
    """Why standard output cannot be written, and what to do, in a sentence."""
    if error.errno == errno.EBADF:
        return "standard output is closed; send it to a file or to /dev/null"
    return f"standard output cannot be written ({error.strerror}); send it to a file on a disk with room"


def log_to_stderr(level: int, form: str) -> None:
    """Send log records to standard error, a line each; ``form`` is their format."""
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, adds no traceback to it
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Sentences(form))
    logging.basicConfig(level=level, handlers=[handler])


def open_streams() -> None:
    """Replace closed standard streams, and let none fail on a character that it cannot encode.

    Without this, the next file or socket that is opened would take the place of a closed stream, and receive what is
    meant for it. ``sys.stdin`` stays None; writing to the replacement of standard output fails.
    """
    if sys.stdin is None:
        _occupy(0, os.O_RDONLY)
    if sys.stdout is None:
        _occupy(1, os.O_RDONLY)
        sys.stdout = _writer(1)
    if sys.stderr is None:
        _occupy(2, os.O_WRONLY)
        sys.stderr = _writer(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _writer(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", closefd=False)  # it lives as long as the process


def _occupy(number: int, mode: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        if (opened := os.open(os.devnull, mode)) != number:
            os.dup2(opened, number)
            os.close(opened)


def _fail(name: str, sentence: str, code: int) -> int:
    if sentence:
        print_error(name, sentence)
    return code


def _finish(name: str, code: int) -> int:
    """Write what standard output still holds. Returns ``code``, or 1 if the output is lost."""
    error = _flush()
    if error is None:
        return code
    if not isinstance(error, BrokenPipeError):
        print_error(name, unwritable(error))
    _discard(sys.stdout)
    return code or 1


def _flush() -> OSError | None:
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    except ValueError:  # closed
        return None
    return None


def _discard(stream: TextIO) -> None:
    """Send the rest to nowhere, so that Python does not fail at exit when it flushes the stream."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return
