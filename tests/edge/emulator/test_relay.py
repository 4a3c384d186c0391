"""The relay between real sockets: everything gets through, unchanged, no sooner than the link allows."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from tests.support.echo import echo, there_and_back

from partway.edge.emulator.relay import Relay
from partway.edge.emulator.shaper import RatePace, Shape, wire_bytes


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
