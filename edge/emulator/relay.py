"""A TCP relay that behaves like a link: the link's shape decides when data leaves. It needs no root.

It uses threads, which sleep to within some 60 µs; an event loop has a resolution of a millisecond.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from queue import SimpleQueue
from time import perf_counter, sleep

from partway.edge.emulator.shaper import RatePace, Shape, TracePace
from partway.system.connections import connections

log = logging.getLogger("partway.edge")

QUEUE_S = 0.1
"""Length of the queue before the link, in seconds of its rate; beyond it the sender must wait."""
CONNECT_S = 5.0


class Relay:
    """Listens on ``host:port`` and passes every connection on to ``target``, shaped by ``up`` and ``down``.

    ``up`` is the direction towards the target. All connections share the two directions, as on a radio link.
    Use it as a context manager; ``port`` is the port in use.
    """

    def __init__(self, target: tuple[str, int], up: Shape, down: Shape, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target, self._up, self._down = target, up, down
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stalled_until_s = 0.0
        self._cut, self._closed = False, threading.Event()
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="relay", daemon=True)
        self._thread.start()

    def set_rate(self, rate_bps: float) -> None:
        """Change the rate in both directions from now on."""
        with self._lock:
            self._up = replace(self._up, pace=RatePace(rate_bps))
            self._down = replace(self._down, pace=RatePace(rate_bps))

    def rewind(self) -> None:
        """Restart the traces when the next data arrives."""
        with self._lock:
            for pace in (self._up.pace, self._down.pace):
                if isinstance(pace, TracePace):
                    pace.rewind()

    def stall(self, seconds: float) -> None:
        """Hold all data back for this long; connections stay open."""
        self._stalled_until_s = perf_counter() + seconds

    def cut(self) -> None:
        """Break every connection and accept none until ``restore``."""
        self._cut = True
        self._break()

    def restore(self) -> None:
        """Accept connections again, and end a stall."""
        self._cut, self._stalled_until_s = False, 0.0

    def close(self) -> None:
        """Break all connections and stop listening."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break()
        self._thread.join()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _break(self) -> None:
        with self._lock:
            sockets, self._open = self._open, set()
        for end in sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        for client in connections(self._listener, self._closed, "the emulated link"):
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        if self._cut:
            client.close()
            return
        try:
            server = socket.create_connection(self._target, CONNECT_S)
        except OSError as error:
            log.warning("nobody answers at %s:%d (%s)", *self._target, error.strerror or error)
            client.close()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
        pumps = [_Pump(client, server, lambda: self._up, self), _Pump(server, client, lambda: self._down, self)]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def arrival_s(self, shape: Callable[[], Shape], size_bytes: int) -> float:
        """The time at which bytes that arrive now leave at the other end."""
        with self._lock:
            return shape().arrive(perf_counter(), size_bytes)

    def wait_until(self, due_s: float) -> None:
        """Sleep until ``due_s``, and until a stall ends."""
        while (remaining_s := max(due_s, self._stalled_until_s) - perf_counter()) > 0 and not self._closed.is_set():
            sleep(min(remaining_s, 0.05))


class _Pump:
    """One direction of one connection: one thread receives, another sends."""

    def __init__(self, source: socket.socket, sink: socket.socket, shape: Callable[[], Shape], relay: Relay) -> None:
        self._source, self._sink, self._shape, self._relay = source, sink, shape, relay
        self._queue: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._receive, self._send)]

    def start(self) -> None:
        """Begin to pass data on."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the source has ended and all its data is sent."""
        for thread in self._threads:
            thread.join()

    def _receive(self) -> None:
        data = b"-"
        while data:
            try:
                data = self._source.recv(self._shape().chunk_bytes())
            except OSError:
                data = b""
            due_s = self._relay.arrival_s(self._shape, len(data))
            self._queue.put((due_s, data))
            self._relay.wait_until(due_s - self._shape().delay_s - QUEUE_S)

    def _send(self) -> None:
        broken = False
        while True:
            due_s, data = self._queue.get()
            self._relay.wait_until(due_s)
            try:
                if data and not broken:
                    self._sink.sendall(data)
                elif not data:
                    self._sink.shutdown(socket.SHUT_WR)
            except OSError:
                broken = True
                with contextlib.suppress(OSError):
                    self._source.shutdown(socket.SHUT_RDWR)  # this ends the receiving thread
            if not data:
                return
