"""Connections of a listening socket, through errors, until it is closed."""

import errno
import socket
import threading

import pytest

from partway.system import connections as module
from partway.system.connections import connections


class Failing:
    """A listening socket whose ``accept`` fails first, as where no file descriptor is left."""

    def __init__(self, failures: int) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.failures = failures

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self.listening.accept()


def test_an_error_is_logged_once_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next connection is accepted when there are file descriptors again."""
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    failing, closed = Failing(3), threading.Event()
    with failing.listening as listening, socket.create_connection(listening.getsockname()):
        found = connections(failing, closed, "it")  # type: ignore[arg-type]
        next(found).close()
        assert failing.failures == 0
        assert [r.message for r in caplog.records] == ["it accepts no connection (Too many open files); trying again"]
        closed.set()
        assert list(found) == []


def test_closing_the_socket_ends_the_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Without a word: that is no error."""
    listening, closed = socket.create_server(("127.0.0.1", 0)), threading.Event()
    thread = threading.Thread(target=lambda: list(connections(listening, closed, "it")), daemon=True)
    thread.start()
    closed.set()
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(30)
    assert not thread.is_alive()
    assert caplog.records == []
