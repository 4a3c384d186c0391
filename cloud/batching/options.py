"""How cloud-serve is told what may wait and what runs together."""

from __future__ import annotations

import argparse

from partway.cloud.batching.scheduler import Limits, Mode
from partway.errors import InputError
from partway.units import parse_s, show_s

MOST = 1 << 16


def add_batch_options(parser: argparse.ArgumentParser) -> None:
    """The options, on any command that serves."""
    usual = Limits()
    group = parser.add_argument_group("batching", "frames of several devices run together where that pays")
    group.add_argument(
        "--batching",
        choices=list(Mode),
        default=usual.mode,
        help="which frames: of any cut, of one cut, none (default: %(default)s)",
    )
    group.add_argument(
        "--max-batch", type=int, default=usual.max_batch, metavar="N", help="samples a batch (default: %(default)s)"
    )
    group.add_argument(
        "--max-wait",
        default=show_s(usual.max_wait_s).replace(" ", ""),
        metavar="TIME",
        help="a frame waits so long for others, while other devices are active (default: %(default)s)",
    )
    group.add_argument(
        "--max-queue",
        type=int,
        default=usual.max_queue,
        metavar="N",
        help="frames that may wait; more are refused (default: %(default)s)",
    )


def batch_limits(args: argparse.Namespace) -> Limits:
    """What the options say. Raises InputError."""
    for option, value in (("--max-batch", args.max_batch), ("--max-queue", args.max_queue)):
        if not 1 <= value <= MOST:
            raise InputError(f"{option} must be 1 to {MOST}, {value} was given")
    wait_s = parse_s(args.max_wait)
    if wait_s > 1:
        raise InputError(f"--max-wait {args.max_wait} is too long to wait for others; choose at most 1s")
    return Limits(Mode(args.batching), args.max_batch, wait_s, args.max_queue)
