"""What cloud-serve is told of batching."""

import argparse
import subprocess
import sys

import pytest

from partway.cloud.batching.options import add_batch_options, batch_limits
from partway.cloud.batching.scheduler import Limits, Mode
from partway.errors import InputError


def limits(*options: str) -> Limits:
    parser = argparse.ArgumentParser()
    add_batch_options(parser)
    return batch_limits(parser.parse_args(options))


def test_the_defaults_are_those_of_the_code() -> None:
    assert limits() == Limits()


def test_everything_can_be_said() -> None:
    """In the units people use."""
    said = limits("--batching", "per-cut", "--max-batch", "4", "--max-wait", "500us", "--max-queue", "9")
    assert said == Limits(Mode.PER_CUT, 4, pytest.approx(5e-4), 9)


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


def test_the_command_says_it_in_one_sentence() -> None:
    """And ends with 2 before anything is loaded."""
    command = [sys.executable, "-m", "partway.cloud", "--max-batch", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "cloud-serve: --max-batch must be 1 to 65536, 0 was given\n"
