"""cloud-serve: serve the cloud half of every model in a folder."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; gRPC's messages on ports duplicate our errors

from partway.cloud.models.repository import ServedModel, load_repository
from partway.cloud.options import access_of, batch_limits, check_ranges, computing_of, parser
from partway.cloud.server import CloudServer
from partway.errors import InputError
from partway.partitioner.zoo import bundled_folder
from partway.partitioner.zoo.cache import prepare
from partway.system.command import log_to_stderr, print_line, run_command
from partway.units import printable

if TYPE_CHECKING:
    from partway.cloud.advertise import Advert
    from partway.cloud.http_api.app import HttpServer

log = logging.getLogger("partway.cloud")


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or Ctrl-C. Returns the exit code."""
    return run_command("cloud-serve", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = parser().parse_args(argv)
    log_to_stderr(logging.WARNING if args.json else logging.INFO, "%(message)s")
    return asyncio.run(_serve(args))


def _roots(args: argparse.Namespace) -> list[Path]:
    """The folders to serve: the given one, those of zoo models, or else the shipped ones. Raises InputError."""
    names = args.model.split(",") if args.model else []
    if args.random_weights and not names:
        raise InputError("--random-weights is for models by name; name one with --model (`partway models` lists them)")

    def say(step: str) -> None:
        print_line(json.dumps({"preparing": step}) if args.json else f"preparing {step}")

    folders = [args.models] if args.models else []
    roots = folders + [prepare(name.strip(), args.random_weights, args.cache, say) for name in names]
    return roots or [bundled_folder()]


async def _serve(args: argparse.Namespace) -> int:
    check_ranges(args)
    access, limits = access_of(args), batch_limits(args)
    access.check_bind(args.host, args.insecure)
    roots = _roots(args)
    stop = asyncio.Event()
    _stop_on_signals(stop.set)
    computing = computing_of(args)
    models = load_repository(roots, args.threads, computing)
    log.info("computing on %s", computing.device)
    server = CloudServer(models, access, limits)
    if args.until_stdin_closes:
        _stop_when_stdin_closes(stop.set)
    await server.start(args.host, args.grpc_port)
    http = await _http(args, server)
    advert = None if args.no_advertise else await _advertise(args.host, server.port, models, bool(args.tls_cert))
    _print_ready(args, server.port, http.port if http else None, models, computing.device.device)
    await _until(stop, advert)
    if advert is not None:
        await advert.stop()
    await server.stop()
    if http is not None:
        await http.stop()
    return 0


async def _http(args: argparse.Namespace, server: CloudServer) -> HttpServer | None:
    if args.http_port is None:
        return None
    from partway.cloud.http_api.app import HttpServer

    http = HttpServer(server)
    await http.start(args.host, args.http_port)
    return http


async def _until(stop: asyncio.Event, advert: Advert | None) -> None:
    """Wait for the end, and announce the load of this machine meanwhile."""
    if advert is None:
        await stop.wait()
        return
    from partway.cloud.advertise import LOAD_S, load_now

    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), LOAD_S)
        except TimeoutError:
            await advert.announce_load(load_now())


async def _advertise(host: str, port: int, models: dict[str, ServedModel], tls: bool) -> Advert | None:
    from partway.cloud.advertise import advertise

    return await advertise(host, port, {name: model.digest for name, model in models.items()}, tls)


def _print_ready(
    args: argparse.Namespace, port: int, http_port: int | None, models: dict[str, ServedModel], device: str
) -> None:
    if args.json:
        ports = {"grpc_port": port, "http_port": http_port, "device": device}
        print_line(json.dumps(ports | {"models": sorted(models), "pid": os.getpid()}))
        return
    http = "" if http_port is None else f" and {args.host}:{http_port} (HTTP: /metrics, /v2/health/ready)"
    names = ", ".join(map(printable, sorted(models)))
    print_line(f"serving {names} on {args.host}:{port} (gRPC){http}; Ctrl-C ends it")


def _stop_on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _stop_when_stdin_closes(stop: Callable[[], None]) -> None:
    """Stop if standard input closes. The parent holds its other end, so it closes however the parent ends."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop()

    try:
        loop.add_reader(0, readable)
    except OSError as error:  # a file or /dev/null cannot be watched for its end
        raise InputError("--until-stdin-closes needs a pipe or a terminal as standard input") from error
