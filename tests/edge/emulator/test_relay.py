"""The relay between real sockets: everything gets through, unchanged, no sooner than the link allows."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pytest

from partway.cli.commands.link import add_arguments, obey, shapes
from partway.edge.emulator.relay import Relay
from partway.edge.emulator.shaper import RatePace, Shape, wire_bytes
from partway.errors import InputError


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


@contextmanager
def through(rate_bps: float | None, delay_s: float = 0.0) -> Iterator[tuple[Relay, socket.socket]]:
    """A connection to an echo server over a link."""

    def shape() -> Shape:
        return Shape(None if rate_bps is None else RatePace(rate_bps), delay_s)

    with (
        echo() as port,
        Relay(("127.0.0.1", port), shape(), shape()) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as connection,
    ):
        connection.settimeout(20)
        yield relay, connection


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


def test_everything_comes_through_unchanged_and_not_too_soon():
    data = os.urandom(200_000)
    with through(20e6, 0.01) as (_, connection):
        back, took_s = there_and_back(connection, data)
    assert back == data
    assert took_s >= 0.02 + wire_bytes(len(data)) * 8 / 20e6


def test_without_limits_it_is_a_plain_relay_and_passes_the_end_on():
    with through(None) as (_, connection):
        assert there_and_back(connection, b"x" * 3_000_000)[0] == b"x" * 3_000_000
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_connections_share_the_link():
    with through(8e6) as (relay, first), socket.create_connection(("127.0.0.1", relay.port)) as second:
        begun_s = perf_counter()
        for connection in (first, second):
            connection.sendall(bytes(100_000))
        for connection in (first, second):
            left = 100_000
            while left:
                left -= len(connection.recv(left))
        assert perf_counter() - begun_s >= wire_bytes(200_000) * 8 / 8e6


def test_the_rate_can_change_while_data_flows():
    with through(1e6) as (relay, connection):
        relay.set_rate(100e6)
        _, took_s = there_and_back(connection, bytes(250_000))
        assert took_s < 2 * wire_bytes(250_000) * 8 / 1e6 / 2, "not the old rate"


def test_a_stall_holds_everything_and_ends():
    with through(None) as (relay, connection):
        there_and_back(connection, b"warm")
        relay.stall(0.4)
        assert there_and_back(connection, b"x")[1] >= 0.39


def test_a_cut_breaks_connections_until_it_is_restored():
    with through(None) as (relay, connection):
        there_and_back(connection, b"x")
        relay.cut()
        assert connection.recv(1) == b""
        with socket.create_connection(("127.0.0.1", relay.port)) as refused:
            assert refused.recv(1) == b""
        relay.restore()
        with socket.create_connection(("127.0.0.1", relay.port)) as again:
            assert there_and_back(again, b"back")[0] == b"back"


def test_nobody_behind_the_link_ends_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with (
        Relay(("127.0.0.1", port), Shape(), Shape()) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as connection,
    ):
        assert connection.recv(1) == b""


def parsed(*words: str):
    parser = ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["--to", "127.0.0.1:1", *words])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--rate", "8"], "needs a number and a unit"),
        (["--loss", "100"], "--loss is percent"),
        (["--rtt", "40"], "needs a number and a unit"),
        (["--trace", "/nowhere"], "cannot be read"),
    ],
)
def test_options_that_make_no_sense(words, sentence):
    with pytest.raises(InputError, match=sentence):
        shapes(parsed(*words))


def test_the_two_ways_can_differ():
    up, down = shapes(parsed("--rate", "1Mbps", "--down-rate", "8Mbps", "--rtt", "40ms", "--jitter", "2ms"))
    assert (up.pace.rate_bps, down.pace.rate_bps, up.delay_s, down.jitter_s) == (1e6, 8e6, 0.02, 0.002)


@pytest.mark.parametrize("words", [["rate"], ["rate", "8"], ["cut", "now"], ["explode"]])
def test_unknown_commands_are_a_sentence(words):
    with Relay(("127.0.0.1", 1), Shape(), Shape()) as relay, pytest.raises(InputError):
        obey(relay, words)


def test_partway_link_emulate_as_a_process():
    """Prints its address, obeys commands on standard input, survives a wrong one, ends on SIGTERM."""
    with echo() as port:
        command = [sys.executable, "-m", "partway", "link", "emulate", "--to", f"127.0.0.1:{port}", "--json"]
        process = subprocess.Popen(
            [*command, "--rate", "50Mbps"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            host, _, number = json.loads(process.stdout.readline())["address"].rpartition(":")
            with socket.create_connection((host, int(number))) as connection:
                connection.settimeout(20)
                assert there_and_back(connection, b"hello")[0] == b"hello"
                process.stdin.write("nonsense\ncut\n")
                process.stdin.flush()
                assert connection.recv(1) == b""
            assert "is no command; known: rate RATE" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.communicate()


def test_a_port_that_is_taken_is_a_sentence():
    with echo() as port:
        command = [
            sys.executable,
            "-m",
            "partway",
            "link",
            "emulate",
            "--to",
            "127.0.0.1:1",
            "--listen",
            f"127.0.0.1:{port}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "cannot listen on" in done.stderr
    assert done.stderr.count("\n") == 1
