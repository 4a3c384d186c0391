"""``partway link emulate``: relay between a device and its cloud, and emulate a slower link."""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.edge.emulator.relay import Relay
from partway.edge.emulator.shaper import Pace, RatePace, Shape, read_trace
from partway.edge.transport.address import parse_address
from partway.errors import InputError, mapped
from partway.system.command import print_error
from partway.system.sigterm import Sigterm
from partway.units import parse_bps, parse_s, show_bps, show_s

if TYPE_CHECKING:
    from partway.system.arguments import Parser

HELP = "links between device and cloud"
EMULATE = "relay between a device and its cloud, and emulate a slower link"
COMMANDS = "rate RATE, stall TIME, cut, restore, rewind"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway link``: its sub-commands."""
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    emulate_arguments(kinds.add_parser("emulate", help=EMULATE, description=EMULATE))


def emulate_arguments(parser: Parser) -> None:
    """The options of ``partway link emulate``."""
    add = parser.add_argument
    add("--to", required=True, metavar="HOST:PORT", help="the cloud behind the link")
    add("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="where devices connect (default: a free port)")
    add("--rate", metavar="RATE", help="both ways, packets' headers included, for example 8Mbps (default: no limit)")
    add("--down-rate", metavar="RATE", help="another rate from the cloud to the device")
    add("--trace", type=Path, metavar="FILE", help="replay a mahimahi trace towards the cloud instead of --rate")
    add("--down-trace", type=Path, metavar="FILE", help="and one from the cloud to the device")
    add("--rtt", default="0ms", metavar="TIME", help="added round trip, for example 40ms (default: none)")
    add("--jitter", default="0ms", metavar="TIME", help="the delay of each way varies by this much up and down")
    add("--loss", type=float, default=0.0, metavar="PERCENT", help="packets lost; each costs TCP one recovery")
    add("--seed", type=int, default=0, metavar="N", help="of jitter and loss (default: %(default)s)")
    add("--json", action="store_true", help="print the listening address as JSON")


def run(args: argparse.Namespace) -> int:
    """Relay until interrupted; commands on standard input change the link."""
    up, down = shapes(args)
    with mapped({OSError: InputError}, f"cannot listen on {args.listen}; give another --listen"):
        relay = Relay(_host_port(args.to), up, down, *_host_port(args.listen, free=True))
    with relay, Sigterm(early=lambda: SystemExit(0)) as sigterm:
        address = f"{_host_port(args.listen, free=True)[0]}:{relay.port}"
        words = f"{address} -> {args.to}, {_described(up)} up, {_described(down)} down; commands: {COMMANDS}"
        print(json.dumps({"address": address}) if args.json else words, flush=True)
        stop = threading.Event()
        sigterm.on_end(stop.set)
        threading.Thread(target=_listen, args=(relay,), daemon=True).start()
        while not stop.wait(0.2):
            pass
    return 0


def shapes(args: argparse.Namespace) -> tuple[Shape, Shape]:
    """The shapes of the two directions, by the arguments. Raises InputError."""
    if not 0 <= args.loss < 100:
        raise InputError(f"--loss is percent of the packets, 0 to 99, not {args.loss:g}")
    rtt_s, jitter_s = parse_s(args.rtt), parse_s(args.jitter)

    def shape(pace: Pace | None, seed: int) -> Shape:
        recovery_s = max(rtt_s, 1e-3)
        return Shape(pace, rtt_s / 2, jitter_s, args.loss / 100, recovery_s, random.Random(seed))  # noqa: S311

    down_trace = args.down_trace or (None if args.down_rate else args.trace)
    up = shape(_pace(args.trace, args.rate), args.seed)
    return up, shape(_pace(down_trace, args.down_rate or args.rate), args.seed + 1)


def _pace(trace: Path | None, rate: str | None) -> Pace | None:
    if trace is not None:
        return read_trace(trace)
    return RatePace(parse_bps(rate)) if rate else None


def _described(shape: Shape) -> str:
    pace = shape.pace
    rate = "no limit" if pace is None else show_bps(pace.rate_bps) if isinstance(pace, RatePace) else "a trace"
    return f"{rate} + {show_s(shape.delay_s)}"


def _host_port(text: str, free: bool = False) -> tuple[str, int]:
    if free and text.endswith(":0"):
        return text[:-2].strip("[]"), 0
    host, _, port = parse_address(text).rpartition(":")
    return host.strip("[]"), int(port)


def _listen(relay: Relay) -> None:
    """Read commands, one per line, until standard input closes."""
    for line in sys.stdin or ():
        if words := line.split():
            try:
                obey(relay, words)
            except InputError as error:
                print_error("partway", str(error))


def obey(relay: Relay, words: list[str]) -> None:
    """Carry out one command, given as words. Raises InputError if it is not a command."""
    actions: dict[str, tuple[int, Callable[..., Any]]] = {
        "rate": (1, lambda text: relay.set_rate(parse_bps(text))),
        "stall": (1, lambda text: relay.stall(parse_s(text))),
        "cut": (0, relay.cut),
        "restore": (0, relay.restore),
        "rewind": (0, relay.rewind),
    }
    argument_count, action = actions.get(words[0], (-1, None))
    if action is None or argument_count != len(words) - 1:
        raise InputError(f"{' '.join(words)!r} is not a command; known: {COMMANDS}")
    action(*words[1:])
