"""edge-run: run a model on this device, in a cloud, or split between both, whichever measures best.

Most imports come after the search for clouds has begun: on a small device they take as long as the search.
Only this module sets signals, logging and the environment of the process; the library never does.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import partway
from partway.edge.discovery.zeroconf import Search
from partway.edge.options import OUTPUT, TABLE, options_of, output_of
from partway.edge.session.health import ask_health
from partway.errors import InputError
from partway.system.arguments import Parser
from partway.system.command import leave_threads, log_to_stderr, print_error, run_command
from partway.system.health_socket import HealthAction
from partway.system.option_table import add_options
from partway.system.process_list import hide_in_process_list

if TYPE_CHECKING:
    from partway.edge.options import Options, OutputOptions
    from partway.edge.report.run_json import RunReport
    from partway.edge.report.terminal import Report


def parser() -> Parser:
    """The command line."""
    command_line = Parser(
        "edge-run", description="Run a neural network on this device, in a cloud, or partway: measured, then chosen."
    )
    add_options(command_line, (*TABLE, *OUTPUT))
    command_line.add_argument(
        "--health",
        action=HealthAction,
        nargs=0,
        const=ask_health,
        help="print whether this container's edge-run is healthy, and exit",
    )
    command_line.add_argument("--version", action="version", version=f"partway {partway.__version__}")
    return command_line


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, print. Returns the exit code: 0 all answered, 2 usage or input error, 130 interrupted, else 1."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC's own messages on a lost cloud do not help users
    hide_in_process_list()
    code = run_command("edge-run", lambda: _main(argv), "interrupted before a frame was answered")
    if argv is None:
        leave_threads(code)
    return code


def _main(argv: Sequence[str] | None) -> int:
    args = parser().parse_args(argv)
    log_to_stderr(logging.WARNING, "edge-run: %(message)s")
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    with Search() if args.cloud == "auto" and args.split != "device" else nullcontext() as search:
        options, output = options_of(vars(args)), output_of(vars(args))
        _check_json(output.json)
        if output.saves:
            _make_folders(output, options.inputs)
        if output.service:
            from partway.edge.session.service import serve

            return serve(options, search, output)
        return _answer(options, search, output)


def _make_folders(output: OutputOptions, inputs: Sequence[str]) -> None:
    from partway.edge.report.saved_files import make_folder

    for flag, folder in (("--save-outputs", output.save_outputs), ("--save-pictures", output.save_pictures)):
        if folder is not None:
            make_folder(flag, folder, inputs)


def _answer(options: Options, search: Search | None, output: OutputOptions) -> int:
    """Answer the input and report the results, also those of an interrupted run."""
    import gc

    from partway.edge.pipeline.result import FrameResult
    from partway.edge.report.terminal import Report
    from partway.edge.session.answer_input import answer_input, new_run_report, queue_policy, readable, saving
    from partway.edge.session.health import Liveness
    from partway.edge.session.run import Run
    from partway.system.sigterm import Sigterm

    report = Report(quiet=output.json == "-")
    with Sigterm() as sigterm, Liveness() as liveness, Run(options, report, search) as run:
        ready = run.open()
        run_input = ready.opened.run_input
        run_report = new_run_report(ready, options, keep_frames=output.json is not None)
        gc.collect()
        gc.freeze()  # excludes these long-lived objects from collection, which would delay frames by milliseconds
        with report.frames(run_input.total) as lines, saving(ready, output, options.inputs) as save:

            def answered(result: FrameResult) -> None:
                lines.add(result)
                liveness.frame_done()

            samples = readable(
                run_input.items(),
                run_report.add_unreadable,
                liveness.frame_read,
                lambda: sigterm.received,
                pictures=output.save_pictures is not None,
            )
            answer_input(ready, run_report, samples, queue_policy(run_input, options), answered, sigterm.on_end, save)
        return _finish(run_report, report, options, output.json)


def _finish(run_report: RunReport, report: Report, options: Options, json_path: str | None) -> int:
    from partway.edge.report.closing_lines import closing_lines

    closing_lines(run_report, report, options.when_behind, _command(options))
    for sentence in run_report.unreadable:
        print_error("edge-run", sentence)
    if json_path is not None:
        _write_json(run_report, json_path)
    if run_report.interrupted:
        return 130
    if run_report.results.unanswered:
        return 1
    return 2 if run_report.unreadable else 0


def _command(options: Options) -> str | None:
    """The beginning of the commands that the last lines suggest; None if they would leave options out."""
    constraints = options.constraints
    if constraints.keep_on_device or constraints.max_device_bytes is not None or options.wishes.flags:
        return None
    return f"edge-run --model {options.model}{' --random-weights' if options.random_weights else ''}"


def _check_json(path: str | None) -> None:
    """Raise InputError before the run if the file cannot be written. Creates no file and changes none."""
    if path in (None, "-"):
        return
    file = Path(str(path))
    try:
        existed = file.exists()
        with file.open("a"):
            pass
        if not existed:
            file.unlink()
    except OSError as error:
        raise InputError(f"--json {path} cannot be written ({error.strerror}); give another file") from error


def _write_json(run_report: RunReport, path: str) -> None:
    pieces = run_report.json_pieces()
    if path == "-":
        sys.stdout.writelines(pieces)
        return
    try:
        with Path(path).open("w", encoding="utf-8") as file:
            file.writelines(pieces)
    except OSError as error:
        if Path(path).is_file():
            Path(path).unlink(missing_ok=True)  # the beginning of an object is not JSON
        raise InputError(f"--json {path} cannot be written ({error.strerror}); give another file") from error
