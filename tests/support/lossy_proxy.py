"""A TCP proxy in front of a cloud that is lost at a chosen step: when the device first names a gRPC method."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType


class LossyProxy:
    """Passes everything on to ``port`` until ``method`` was seen ``after`` chunks ago; then ``loss``.

    ``loss``: ``reset`` breaks every connection and accepts none, ``hang`` keeps them open and passes nothing on, and
    anything else is called first, then connections end by themselves.
    """

    def __init__(self, port: int, method: str, loss: str | Callable[[], object], after: int = 0) -> None:
        self._target, self._method, self._loss, self._after = port, method.encode(), loss, after
        self._seen = self.lost = False
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.append(near)
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:  # the cloud is gone: nobody answers here either
                    near.shutdown(socket.SHUT_RDWR)
                    continue
                self._open.append(far)
                self._start(self._up, near, far)
                self._start(self._pass, far, near)

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(1 << 16):
                self._look(data)
                if not self.lost:
                    far.sendall(data)
            far.shutdown(socket.SHUT_RDWR)

    def _pass(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(1 << 16):
                if not (self.lost and self._loss == "hang"):
                    near.sendall(data)
        with suppress(OSError):
            if not self.lost or self._loss != "hang":
                near.shutdown(socket.SHUT_RDWR)

    def _look(self, data: bytes) -> None:
        with self._lock:
            self._after -= self._seen
            self._seen |= self._method in data
            if self.lost or not self._seen or self._after > 0:
                return
            self.lost = True
        if callable(self._loss):
            self._loss()
        if self._loss == "reset":
            self._break()

    def _break(self) -> None:
        """Accept no more and break every connection."""
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        self._break()
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._open):
            each.close()

    def __enter__(self) -> LossyProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
