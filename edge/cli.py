"""edge-run: run a model on this device, in a cloud, or partway, whichever is measured to be best."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import partway
from partway.edge.report import Report
from partway.edge.run import Options, Outcome, Run, tell
from partway.proto.errors import InputError, PartwayError
from partway.proto.units import parse_bps, parse_s


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "edge-run", description="Run a neural network on this device, in a cloud, or partway: measured, then chosen."
    )
    add = made.add_argument
    add("--model", required=True, metavar="NAME|PLAN", help="a shipped model (mnist), a plan's folder, or a name the cloud knows")
    add("--split", default="auto", metavar="auto|device|cloud|K|VALUE", help="where to cut (default: auto, by measurement)")
    add("--cloud", default="auto", metavar="auto|embedded|none|HOST:PORT", help="default: look for one by zeroconf, else embedded")
    add("--input", action="append", default=[], metavar="FILE|DIR", help="pictures, folders, IDX or .npz files (repeatable)")
    add("--frames", type=int, metavar="N", help="number of frames, cycling through the input (default: each once)")
    add("--codec", default="auto", metavar="NAME", help="raw, fp16; at split 0 also u8, png, jpeg75, webp75… (default: auto)")
    add("--max-drop", type=float, default=1.0, metavar="PP", help="agreement a codec may cost, percentage points (default: 1)")
    add("--bandwidth", metavar="RATE", help="decide for this bandwidth instead of the measured one, for example 2Mbps")
    add("--rtt", metavar="TIME", help="decide for this round trip instead of the measured one, for example 40ms")
    add("--deadline", metavar="TIME", help="travels with each frame; the cloud drops frames that waited longer")
    add("--window", type=int, default=4, metavar="N", help="frames in flight at once (default: %(default)s)")
    add("--batch", type=int, default=1, metavar="N", help="frames per request, for throughput (default: %(default)s)")
    add("--threads", type=int, default=0, metavar="N", help="threads per inference (default: all cores)")
    add("--cache", type=Path, metavar="DIR", help="where fetched stages are kept (default: ~/.cache/partway)")
    add("--timeout", default="5s", metavar="TIME", help="how long to wait for a cloud to answer (default: %(default)s)")
    add("--json", metavar="FILE|-", help="write everything as one JSON object; - is standard output, and prints nothing else")
    add("--version", action="version", version=f"partway {partway.__version__}")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, print. Returns the exit code: 0 all frames answered, 2 usage or input error, 130 interrupted, else 1."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="edge-run: %(message)s", stream=sys.stderr)
    outcomes: list[Outcome] = []
    try:
        options = options_of(args)
        report = Report(quiet=args.json == "-")
        with Run(options, report) as run:
            run.go(outcomes)
            return _finish(outcomes[0], report, options, args.json)
    except PartwayError as error:
        print(f"edge-run: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("edge-run: interrupted before a frame was answered", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


def options_of(args: argparse.Namespace) -> Options:
    """Checked options. Raises InputError."""
    if args.frames is not None and args.frames < 1:
        raise InputError(f"--frames must be 1 or more, not {args.frames}")
    if not 1 <= args.window <= 64:
        raise InputError(f"--window must be 1 to 64, not {args.window}")
    if not 1 <= args.batch <= 64:
        raise InputError(f"--batch must be 1 to 64, not {args.batch}")
    if args.threads < 0:
        raise InputError(f"--threads must be 0 (all cores) or more, not {args.threads}")
    if not 0 <= args.max_drop <= 100:
        raise InputError(f"--max-drop is percentage points, 0 to 100, not {args.max_drop:g}")
    return Options(
        model=args.model,
        split=args.split,
        cloud=args.cloud,
        inputs=tuple(args.input),
        frames=args.frames,
        codec=args.codec,
        max_drop=args.max_drop,
        bandwidth_bps=parse_bps(args.bandwidth) if args.bandwidth else None,
        rtt_s=parse_s(args.rtt) if args.rtt else None,
        deadline_s=parse_s(args.deadline) if args.deadline else None,
        window=args.window,
        batch=args.batch,
        threads=args.threads,
        cache=args.cache,
        timeout_s=parse_s(args.timeout),
    )


def _finish(outcome: Outcome, report: Report, options: Options, json_path: str | None) -> int:
    tell(outcome, report, options)
    for sentence in outcome.unreadable:
        print(f"edge-run: {sentence}", file=sys.stderr)
    if json_path is not None:
        _write_json(outcome, json_path)
    if outcome.interrupted:
        return 130
    return 2 if outcome.unreadable else 0


def _write_json(outcome: Outcome, path: str) -> None:
    text = json.dumps(outcome.to_json())
    if path == "-":
        print(text)
        return
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {path} cannot be written ({error.strerror})") from error
