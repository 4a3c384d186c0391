"""cloud-serve: serve the cloud half of every model in a folder."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; what it would print about a port is raised as well

import partway
from partway.cloud.access.authentication import Access
from partway.cloud.access.certificates import Certificates
from partway.cloud.batching.options import add_batch_options, batch_limits
from partway.cloud.models.placement import computing_arguments, computing_of
from partway.cloud.models.repository import ServedModel, load_repository
from partway.cloud.server import CloudServer
from partway.cloud.services.health_call import ask
from partway.errors import InputError, PartwayError
from partway.partitioner.zoo import bundled_folder
from partway.partitioner.zoo.cache import prepare
from partway.system.credentials import token_of
from partway.system.health_socket import HealthAction

if TYPE_CHECKING:
    from partway.cloud.advertise import Advert
    from partway.cloud.http_api.app import HttpServer

log = logging.getLogger("partway.cloud")

MAX_THREADS = 1024


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("cloud-serve", description="Serve the cloud half of split models over gRPC.")
    made.add_argument(
        "--models", type=Path, metavar="DIR", help="a plan's folder or a folder of such (default: shipped models)"
    )
    made.add_argument(
        "--model", metavar="NAME[,NAME]", help="models by name (`partway models`), made and kept when not there yet"
    )
    made.add_argument("--random-weights", action="store_true", help="with --model: weights never trained, no download")
    made.add_argument("--cache", type=Path, metavar="DIR", help="where --model keeps plans (default: ~/.cache/partway)")
    made.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    made.add_argument(
        "--grpc-port", type=int, default=8001, metavar="PORT", help="0 takes a free one (default: %(default)s)"
    )
    made.add_argument(
        "--http-port", type=int, metavar="PORT", help="also serve health and Prometheus metrics over HTTP (default: no)"
    )
    made.add_argument("--threads", type=int, default=0, metavar="N", help="threads per inference (default: all cores)")
    computing_arguments(made)
    access_arguments(made)
    add_batch_options(made)
    made.add_argument("--no-advertise", action="store_true", help="do not announce the service by zeroconf")
    made.add_argument("--until-stdin-closes", action="store_true", help="end when standard input closes (embedded use)")
    made.add_argument("--json", action="store_true", help="print one JSON line when ready instead of a sentence")
    made.add_argument(
        "--health", action=HealthAction, nargs=0, const=ask, help="say whether this container's cloud serves, and exit"
    )
    made.add_argument("--version", action="version", version=f"partway {partway.__version__}")
    return made


def access_arguments(parser: argparse.ArgumentParser) -> None:
    """Who may use this cloud. A token is never given on the command line, where every user of the machine sees it."""
    add = parser.add_argument
    add("--token-file", type=Path, metavar="FILE", help="ask for this bearer token (or environment PARTWAY_TOKEN)")
    add("--tls-cert", type=Path, metavar="FILE", help="serve by TLS with this certificate, read anew when it changes")
    add("--tls-key", type=Path, metavar="FILE", help="and its private key")
    add("--tls-client-ca", type=Path, metavar="FILE", help="devices need a certificate of this CA")
    add("--insecure", action="store_true", help="listen beyond this machine without a token")


def access_of(args: argparse.Namespace) -> Access:
    """What was asked for, every file read. Raises InputError."""
    if (args.tls_cert is None) != (args.tls_key is None):
        raise InputError("TLS needs both --tls-cert FILE and --tls-key FILE")
    if args.tls_client_ca is not None and args.tls_cert is None:
        raise InputError("--tls-client-ca needs TLS: give --tls-cert FILE and --tls-key FILE as well")
    certificates = Certificates(args.tls_cert, args.tls_key, args.tls_client_ca) if args.tls_cert else None
    if certificates is not None:
        certificates.configuration()  # what is wrong with them is said before anything is started
    return Access(token_of(args.token_file), certificates)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or Ctrl-C. Returns the exit code."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING if args.json else logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return asyncio.run(_serve(args))
    except PartwayError as error:
        print(f"cloud-serve: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _roots(args: argparse.Namespace) -> list[Path]:
    """The folders to serve: those given, those of models by name, or else the shipped ones. Raises InputError."""
    names = args.model.split(",") if args.model else []
    if args.random_weights and not names:
        raise InputError("--random-weights is for models by name; name one with --model (`partway models` lists them)")

    def say(step: str) -> None:
        print(json.dumps({"preparing": step}) if args.json else f"preparing {step}", flush=True)

    given = [args.models] if args.models else []
    roots = given + [prepare(name.strip(), args.random_weights, args.cache, say) for name in names]
    return roots or [bundled_folder()]


async def _serve(args: argparse.Namespace) -> int:
    for option, port in (("--grpc-port", args.grpc_port), ("--http-port", args.http_port or 0)):
        if not 0 <= port <= 65535:
            raise InputError(f"port {port} is out of range; choose 0 to 65535 with {option}")
    if not 0 <= args.threads <= MAX_THREADS:
        raise InputError(f"--threads must be 0 (all cores) to {MAX_THREADS}")
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
    _say_ready(args, server.port, http.port if http else None, models, computing.device.device)
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

    made = HttpServer(server)
    await made.start(args.host, args.http_port)
    return made


async def _until(stop: asyncio.Event, advert: Advert | None) -> None:
    """Wait for the end, and tell meanwhile how busy this machine is."""
    if advert is None:
        await stop.wait()
        return
    from partway.cloud.advertise import LOAD_S, load_now

    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), LOAD_S)
        except TimeoutError:
            await advert.tell_load(load_now())


async def _advertise(host: str, port: int, models: dict[str, ServedModel], tls: bool) -> Advert | None:
    from partway.cloud.advertise import advertise

    return await advertise(host, port, {name: model.digest for name, model in models.items()}, tls)


def _say_ready(
    args: argparse.Namespace, port: int, http_port: int | None, models: dict[str, ServedModel], device: str
) -> None:
    if args.json:
        ports = {"grpc_port": port, "http_port": http_port, "device": device}
        print(json.dumps(ports | {"models": sorted(models), "pid": os.getpid()}), flush=True)
        return
    http = "" if http_port is None else f" and {args.host}:{http_port} (HTTP: /metrics, /v2/health/ready)"
    print(f"serving {', '.join(sorted(models))} on {args.host}:{port} (gRPC){http}; Ctrl-C ends it", flush=True)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _stop_when_stdin_closes(stop: Callable[[], None]) -> None:
    """The parent holds the other end of our standard input: when it ends, however it ends, the input closes."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop()

    try:
        loop.add_reader(0, readable)
    except OSError as error:  # a file or /dev/null, whose end nobody can wait for
        raise InputError("--until-stdin-closes needs a pipe or a terminal as standard input") from error
