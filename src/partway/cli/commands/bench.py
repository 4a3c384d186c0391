"""``partway bench``: replay a link's trace through a real device half and a real cloud half, and report."""

from __future__ import annotations

import argparse
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.errors import InputError, mapped
from partway.units import parse_s, shown

if TYPE_CHECKING:
    from partway.edge.emulator.replay import Replay
    from partway.system.arguments import Parser
    from partway.system.option_table import Option

HELP = "replay a link's trace through real device and cloud processes"
LINK = ("rate", "down_rate", "trace", "down_trace", "rtt", "jitter", "loss", "seed")
"""Options that are passed on to ``partway link emulate``."""


def add_arguments(parser: Parser) -> None:
    """The options of ``partway bench``."""
    from partway.partitioner.decide.options import decision_arguments
    from partway.system.option_table import add_options

    add_options(parser, _run_options())
    add = parser.add_argument
    add("--trace", type=Path, metavar="FILE", help="the link towards the cloud, a trace in mahimahi's format")
    add("--down-trace", type=Path, metavar="FILE", help="the other way (default: the same)")
    add("--rate", metavar="RATE", help="instead of a trace: a constant rate, for example 8Mbps")
    add("--down-rate", metavar="RATE", help="the other way")
    add("--rtt", default="0ms", metavar="TIME", help="round trip of the link, for example 40ms (default: none)")
    add("--jitter", default="0ms", metavar="TIME", help="as in `partway link emulate`")
    add("--loss", type=float, default=0.0, metavar="PERCENT", help="as in `partway link emulate`")
    add("--seed", type=int, default=0, metavar="N", help="of jitter and loss (default: %(default)s)")
    add("--seconds", type=float, default=30.0, metavar="N", help="how long frames are begun (default: %(default)g)")
    add("--fps", type=float, metavar="N", help="frames a second of the source (default: as fast as they are answered)")
    add("--slow", type=int, default=1, metavar="N", help="a device N times as slow as this machine (default: 1)")
    add("--device-profile", type=Path, metavar="FILE", help="as slow as the machine of this profile (times --slow)")
    add("--png", type=Path, metavar="FILE", help="draw link, splits and times over time (needs partway[explain])")
    add("--json", metavar="FILE|-", help="write everything as one JSON object; - prints nothing else")
    decision_arguments(parser)


def _run_options() -> list[Option]:
    """The options of edge-run that a replay has, with its own defaults; those of None depend on ``--fps``."""
    from partway.edge.options import BENCH, Options
    from partway.system.option_table import rows

    own: dict[str, dict[str, Any]] = {
        "model": {"help": "a shipped model's name, an .onnx or .tflite file, or a plan's folder"},
        "inputs": {"help": "as in edge-run (default: the model's samples)"},
        "when_behind": {
            "default": None,
            "help": "as in edge-run (default: block; with --fps drop-oldest, as a camera)",
        },
        "window": {"help": "frames in flight at once (default: 1; with --fps by the link)"},
        "threads": {"default": 1, "help": "per inference, on both sides (default: 1)"},
        "cache": {"help": "where the plan of a model file is kept (default: ~/.cache/partway)"},
    }
    return [replace(row, **own.get(row.name, {})) for row in rows(Options, BENCH)]


def run(args: argparse.Namespace) -> int:
    """Replay, then report. Returns 1 if frames stayed unanswered."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    _check(args)
    args.window = args.window or ("1" if args.fps is None else "auto")
    args.when_behind = args.when_behind or ("block" if args.fps is None else "drop-oldest")
    from partway.edge.emulator.replay import EmulatedDevice, replay
    from partway.edge.emulator.summary import series, shares, summary
    from partway.edge.options import options_of
    from partway.partitioner.decide.power import POWERS, parse_power, power_of
    from partway.partitioner.profile.measure import machine_name
    from partway.system.sigterm import Sigterm

    options = options_of(vars(args))
    with Sigterm():
        replayed = replay(
            options, _link_options(args), args.seconds, args.fps, EmulatedDevice(args.slow, args.device_profile)
        )
    power = parse_power(args.power) if args.power else power_of(machine_name()) or POWERS["pi4"]
    plan, run_report = replayed.run_report.plan, replayed.run_report.to_json()
    report: dict[str, Any] = {
        "model": plan.model,
        "plan": plan.digest,
        "machine": machine_name(),
        "slow": args.slow,
        "device_profile": None if args.device_profile is None else args.device_profile.name,
        "link": {name: str(getattr(args, name)) for name in LINK if getattr(args, name) is not None},
        "asked": {
            "seconds": args.seconds,
            "fps": args.fps,
            "split": args.split,
            "codec": args.codec,
            "objective": args.objective,
            "deadline_s": options.deadline_s,
            "window": args.window,
            "when_behind": args.when_behind,
        },
        "power": str(power),
        "summary": summary(replayed, power, options.deadline_s),
        "decision": {key: run_report["plan"][key] for key in ("stages", "objective", "candidates", "chosen", "reason")},
        "link_found": run_report["link"],
        "changes": run_report["changes"],
        "splits": shares(replayed.frames),
        "frames": series(replayed.frames, options.deadline_s),
    }
    _show(args, report, len(plan.stages))
    if args.png is not None:
        _draw(args, replayed, _heading(args, report), options.deadline_s)
    return 1 if report["summary"]["unanswered"] or not report["frames"] else 0


def _check(args: argparse.Namespace) -> None:
    if (args.trace is None) == (args.rate is None):
        raise InputError("give the link: either --trace FILE or --rate RATE")
    if not 0 < args.seconds < math.inf:
        raise InputError(f"--seconds must be greater than zero, not {args.seconds:g}")
    if args.fps is not None and not 0 < args.fps < math.inf:
        raise InputError(f"--fps must be greater than zero, not {args.fps:g}")
    if args.fps is not None and args.when_behind == "block":
        raise InputError("a source of --fps frames a second does not wait: --when-behind drop-oldest or drop-newest")
    if args.slow < 1:
        raise InputError(f"--slow must be 1 or more, not {args.slow}")
    if args.png is not None:
        with mapped({ImportError: InputError}, "the picture needs matplotlib: pip install 'partway[explain]'"):
            import matplotlib  # noqa: F401
    for path in (args.png, None if args.json in (None, "-") else Path(args.json)):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{path} cannot be written, there is no folder {path.parent}; give another file")


def _link_options(args: argparse.Namespace) -> list[str]:
    values = {name: getattr(args, name) for name in LINK}
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None]


def _show(args: argparse.Namespace, report: dict[str, Any], stages: int) -> None:
    if args.json == "-":
        print(json.dumps(report))
        return
    if args.json is not None:
        with mapped({OSError: InputError}, f"{args.json} cannot be written"):
            Path(args.json).write_text(json.dumps(report) + "\n", encoding="utf-8")
    from partway.cli.show.console import Console
    from partway.edge.emulator.summary import tables

    console = Console(highlight=False)
    print(shown(_heading(args, report)))
    for table in tables(report["summary"], report["splits"], stages):
        console.print(table)


def _heading(args: argparse.Namespace, report: dict[str, Any]) -> str:
    link = args.rate if args.trace is None else args.trace.name
    machine = "this machine" if args.device_profile is None else args.device_profile.name
    device = machine if args.slow == 1 else f"a device {args.slow} times as slow as {machine}"
    return f"{report['model']} on {device}, {link}, {parse_s(args.rtt) * 1e3:g} ms round trip, split {args.split}"


def _draw(args: argparse.Namespace, replayed: Replay, heading: str, deadline_s: float | None) -> None:
    from partway.edge.emulator.plot import BIN_S, draw, save
    from partway.edge.emulator.shaper import capacity, read_trace

    last_s = max([replayed.ran_s, args.seconds])
    capacity_bps = None if args.trace is None else capacity(read_trace(args.trace), last_s, BIN_S)
    with mapped({OSError: InputError}, f"{args.png} cannot be written"):
        save(draw(replayed.frames, len(replayed.run_report.plan.stages), capacity_bps, deadline_s, heading), args.png)
