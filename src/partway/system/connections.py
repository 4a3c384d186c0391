"""Accept the connections of a listening socket until it is closed, also after an error such as too many open files."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator

log = logging.getLogger("partway")
RETRY_S = 1.0


def connections(listening: socket.socket, closed: threading.Event, name: str) -> Iterator[socket.socket]:
    """Each connection, until ``closed`` is set. Whoever sets it then shuts the socket down, which ends the wait.

    Errors are logged as one warning, in which ``name`` says who listens, until a connection is accepted again.
    """
    warned = False
    while not closed.is_set():
        try:
            connection, _ = listening.accept()
        except OSError as error:
            if closed.is_set():
                return
            if not warned:
                log.warning("%s accepts no connection (%s); trying again", name, error.strerror or error)
            warned = True
            closed.wait(RETRY_S)
            continue
        warned = False
        yield connection
