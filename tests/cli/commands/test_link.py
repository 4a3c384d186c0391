"""``partway link emulate``: its options, its commands, and the process."""

import json
import signal
import socket
import subprocess
import sys

import pytest
from tests.support.echo import echo, there_and_back

from partway.cli.commands.link import emulate_arguments, obey, shapes
from partway.edge.emulator.relay import Relay
from partway.edge.emulator.shaper import Shape
from partway.errors import InputError
from partway.system.arguments import Parser


def parsed(*words: str):
    """The options of `partway link emulate`."""
    parser = Parser()
    emulate_arguments(parser)
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
    """Each is refused with a sentence."""
    with pytest.raises(InputError, match=sentence):
        shapes(parsed(*words))


def test_the_two_ways_can_differ():
    """A rate of its own for the way down; delay and jitter are shared out."""
    up, down = shapes(parsed("--rate", "1Mbps", "--down-rate", "8Mbps", "--rtt", "40ms", "--jitter", "2ms"))
    assert (up.pace.rate_bps, down.pace.rate_bps, up.delay_s, down.jitter_s) == (1e6, 8e6, 0.02, 0.002)


@pytest.mark.parametrize("words", [["rate"], ["rate", "8"], ["cut", "now"], ["explode"]])
def test_unknown_commands_are_a_sentence(words):
    """A word too few, a word too many, a value without unit, no command at all."""
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
            assert "is not a command; known: rate RATE" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.communicate()


def test_a_port_that_is_taken_is_a_sentence():
    """The process ends with code 2 and names the option."""
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
