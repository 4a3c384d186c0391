"""edge-run: run a model on this device, in a cloud, or partway, whichever is measured to be best.

Most imports wait until the search for clouds has begun: on a small device they take as long as the search does.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import partway
from partway.edge.discovery.zeroconf import Search
from partway.edge.session.health import ask
from partway.edge.transport.access_options import access_arguments
from partway.engines.registry import engine_names
from partway.errors import InputError, PartwayError
from partway.partitioner.decide.options import decision_arguments
from partway.proto.codecs.registry import codec_help
from partway.system.health_socket import HealthAction

if TYPE_CHECKING:
    from partway.edge.options import Options
    from partway.edge.report.run_json import Outcome
    from partway.edge.report.terminal import Report


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "edge-run", description="Run a neural network on this device, in a cloud, or partway: measured, then chosen."
    )
    add = made.add_argument
    add(
        "--model",
        required=True,
        metavar="NAME|FILE|PLAN",
        help="a name (see `partway models`), an .onnx or .tflite file, a plan's folder, or a name the cloud knows",
    )
    add("--random-weights", action="store_true", help="a model by name with weights never trained: no download")
    add(
        "--split",
        default="auto",
        metavar="auto|device|cloud|K|VALUE",
        help="where to cut (default: auto, by measurement)",
    )
    add(
        "--cloud",
        default="auto",
        metavar="auto|embedded|none|HOST:PORT[,HOST:PORT…]",
        help="default: look for one by zeroconf, else embedded; of several, the next takes over when one is lost",
    )
    add(
        "--input",
        action="append",
        default=[],
        metavar="FILE|DIR|watch:DIR|camera:N|-",
        help="pictures, folders, a folder as pictures come, IDX, .npz, videos, a camera, standard input (repeatable)",
    )
    add(
        "--stdin-shape",
        metavar="HxWxC",
        help="--input - is raw uint8 pictures of this shape (default: .npy after .npy)",
    )
    add("--frames", type=int, metavar="N", help="number of frames, cycling through the input (default: each once)")
    add(
        "--codec",
        default="auto",
        metavar="NAME",
        help=f"{codec_help()} (default: auto)",
    )
    decision_arguments(made)
    add("--bandwidth", metavar="RATE", help="decide for this bandwidth instead of the measured one, for example 2Mbps")
    add("--rtt", metavar="TIME", help="decide for this round trip instead of the measured one, for example 40ms")
    add("--deadline", metavar="TIME", help="a frame is answered by whichever half can make it, else missed")
    add(
        "--when-behind",
        default="block",
        choices=("block", "drop-oldest", "drop-newest"),
        help="when frames come faster than they are answered (default: %(default)s: the source waits)",
    )
    add(
        "--order",
        default="source",
        choices=("source", "as-answered"),
        help="in which order results are handed out (default: %(default)s)",
    )
    add("--window", default="auto", metavar="auto|N", help="requests in flight at once (default: by the link)")
    add("--batch", type=int, default=1, metavar="N", help="frames per request, for throughput (default: %(default)s)")
    add("--threads", type=int, default=0, metavar="N", help="threads per inference (default: all cores)")
    add(
        "--engine",
        default="auto",
        metavar="|".join(["auto", *engine_names()]),
        help="what runs the device's stages (default: the model's own; the cloud has its own choice)",
    )
    add("--cache", type=Path, metavar="DIR", help="where fetched stages are kept (default: ~/.cache/partway)")
    add("--timeout", default="5s", metavar="TIME", help="how long to wait for a cloud to answer (default: %(default)s)")
    access_arguments(made)
    add(
        "--audit",
        default="0",
        metavar="SHARE",
        help="send this share of lossily coded frames once more, exact, and withdraw a codec whose answers differ"
        " more often than --max-drop allows, for example 1%% (default: none)",
    )
    add(
        "--json",
        metavar="FILE|-",
        help="write everything as one JSON object; - is standard output, and prints nothing else",
    )
    add("--service", action="store_true", help="run until SIGTERM, a line a frame (of JSON with --json); for systemd")
    add(
        "--health",
        action=HealthAction,
        nargs=0,
        const=ask,
        help="tell whether this container's edge-run is well, and exit",
    )
    add("--version", action="version", version=f"partway {partway.__version__}")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, print. Returns the exit code: 0 all answered, 2 usage or input error, 130 interrupted, else 1."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its notes on a lost cloud are for its makers
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="edge-run: %(message)s", stream=sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no terminal or file name is worth losing the answers for
    try:
        code = _run(args)
        sys.stdout.flush()
        return code
    except PartwayError as error:
        print(f"edge-run: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("edge-run: interrupted before a frame was answered", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at the end
        return 1


def _run(args: argparse.Namespace) -> int:
    with Search() if args.cloud == "auto" and args.split != "device" else nullcontext() as search:
        from partway.edge.options import options_of
        from partway.edge.report.terminal import Report
        from partway.edge.session.run import Run

        options = options_of(args)
        _check_json(args.json)
        if args.service:
            return _serve(options, search, args.json)
        report = Report(quiet=args.json == "-")
        outcomes: list[Outcome] = []
        with Run(options, report, search, frames=args.json is not None) as run:
            run.go(outcomes)
            return _finish(outcomes[0], report, options, args.json)


def _serve(options: Options, search: Search | None, json_path: str | None) -> int:
    from partway.edge.session.service import Service

    service = Service(options, search, json_path)
    with service:
        return service.serve()


def _finish(outcome: Outcome, report: Report, options: Options, json_path: str | None) -> int:
    from partway.edge.report.run_json import tell

    tell(outcome, report, options)
    for sentence in outcome.unreadable:
        print(f"edge-run: {sentence}", file=sys.stderr)
    if json_path is not None:
        _write_json(outcome, json_path)
    if outcome.interrupted:
        return 130
    if outcome.results.unanswered:
        return 1
    return 2 if outcome.unreadable else 0


def _check_json(path: str | None) -> None:
    """Refuse at once what could not be written after all the work. Leaves no file behind and an old one as it was."""
    if path in (None, "-"):
        return
    file = Path(str(path))
    try:
        there = file.exists()
        with file.open("a"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        raise InputError(f"--json {path} cannot be written ({error.strerror}); give another file") from error


def _write_json(outcome: Outcome, path: str) -> None:
    pieces = outcome.json_pieces()
    if path == "-":
        sys.stdout.writelines(pieces)
        return
    try:
        with Path(path).open("w", encoding="utf-8") as file:
            file.writelines(pieces)
    except OSError as error:
        raise InputError(f"--json {path} cannot be written ({error.strerror}); give another file") from error
