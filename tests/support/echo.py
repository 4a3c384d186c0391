"""A server that sends everything back, and a way to time it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


@contextmanager
def echo() -> Iterator[int]:
    """A server that sends everything back."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def there_and_back(connection: socket.socket, data: bytes) -> tuple[bytes, float]:
    """What came back, and the seconds it took."""
    begun_s = perf_counter()
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    back = b""
    while len(back) < len(data):
        piece = connection.recv(1 << 16)
        assert piece, "the connection ended early"
        back += piece
    sender.join()
    return back, perf_counter() - begun_s
