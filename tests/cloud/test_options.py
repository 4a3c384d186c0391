"""The command line of cloud-serve."""

import subprocess
import sys

import pytest

from partway.cloud.batching.scheduler import BatchLimits, Mode
from partway.cloud.options import OPTIONS, batch_limits, check_ranges, computing_of, parser
from partway.errors import InputError


def limits(*options: str) -> BatchLimits:
    """The limits of a command line."""
    return batch_limits(parser().parse_args(options))


def test_the_defaults_are_those_of_the_code() -> None:
    """Without options the limits are the scheduler's own."""
    assert limits() == BatchLimits()


def test_everything_can_be_said() -> None:
    """In the units people use."""
    given = limits("--batching", "per-cut", "--max-batch", "4", "--max-wait", "500us", "--max-queue", "9")
    assert given == BatchLimits(Mode.PER_CUT, 4, pytest.approx(5e-4), 9)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--max-batch", "0"), "--max-batch must be 1 to"),
        (("--max-queue", "-3"), "--max-queue must be 1 to"),
        (("--max-wait", "2"), "needs a number and a unit"),
        (("--max-wait", "3s"), "choose at most 1s"),
    ],
)
def test_nonsense_is_refused(options: tuple[str, ...], word: str) -> None:
    """With the option that is wrong."""
    with pytest.raises(InputError, match=word):
        limits(*options)


def test_every_option_is_declared_once() -> None:
    """Each has a line of help, and the port is gRPC's usual one of the protocol."""
    rows = [row for rows in OPTIONS.values() for row in rows]
    flags = [flag for flag, _ in rows]
    assert len(flags) == len(set(flags))
    assert all(how["help"] for _, how in rows)
    assert parser().parse_args([]).grpc_port == 8001


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--grpc-port", "65536"), "choose 0 to 65535 with --grpc-port"),
        (("--http-port", "-1"), "with --http-port"),
        (("--threads", "1025"), "--threads must be 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options: tuple[str, ...], word: str) -> None:
    """The sentence names the option and its range."""
    with pytest.raises(InputError, match=word):
        check_ranges(parser().parse_args(options))


def test_options_of_torch_need_torch() -> None:
    """Each is named as it was given."""
    for options, flag in (
        (("--precision", "fp16"), "--precision fp16"),
        (("--tf32",), "--tf32"),
        (("--compile",), "--compile"),
    ):
        with pytest.raises(InputError, match=f"{flag} is for the engine torch"):
            computing_of(parser().parse_args(["--device", "cpu", "--engine", "onnx", *options]))


def test_a_token_on_the_command_line_is_not_echoed(capsys: pytest.CaptureFixture[str]) -> None:
    """``--token`` is no option: the sentence names the one for a file, and the token is not in it."""
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["--token", "hunter2"])
    assert capsys.readouterr().err == "cloud-serve: unknown option --token; did you mean --token-file?\n"


def test_the_command_says_it_in_one_sentence() -> None:
    """And ends with 2 before anything is loaded."""
    command = [sys.executable, "-m", "partway.cloud", "--max-batch", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "cloud-serve: --max-batch must be 1 to 65536, not 0\n"
