"""The command line of ``cloud-serve``: every option once, and the values for the parts of the cloud.

A token is never the value of an option, because every user of the machine can see command lines.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import partway
from partway.cloud.access.authentication import AccessPolicy
from partway.cloud.access.certificates import Certificates
from partway.cloud.batching.scheduler import BatchLimits, Mode
from partway.cloud.models.placement import TORCH_ONLY, Computing, computing_on
from partway.cloud.services.health_call import ask_health
from partway.engines.registry import engine_names
from partway.errors import InputError
from partway.system.arguments import Parser
from partway.system.credentials import token_of
from partway.system.health_socket import HealthAction
from partway.units import parse_s, show_s

USUAL = BatchLimits()
MAX_THREADS, MAX_COUNT, MAX_PORT, MAX_WAIT_S = 1024, 1 << 16, 65535, 1.0

Row = tuple[str, dict[str, Any]]
"""An option's flag and its arguments for argparse."""


def _row(flag: str, text: str, **how: Any) -> Row:
    return flag, {"help": text, **how}


def _path(flag: str, metavar: str, text: str) -> Row:
    return _row(flag, text, type=Path, metavar=metavar)


def _switch(flag: str, text: str, **how: Any) -> Row:
    return _row(flag, text, action="store_true", **how)


OPTIONS: dict[str, tuple[Row, ...]] = {
    "models": (
        _path("--models", "DIR", "a plan's folder or a folder of plans (default: shipped models)"),
        _row("--model", "models by name (`partway models`), made when first used", metavar="NAME[,NAME]"),
        _switch("--random-weights", "with --model: random weights, no download"),
        _path("--cache", "DIR", "where --model keeps plans (default: ~/.cache/partway)"),
    ),
    "network": (
        _row("--host", "address to listen on (default: %(default)s, this machine only)", default="127.0.0.1"),
        _row("--grpc-port", "0 takes a free one (default: %(default)s)", type=int, default=8001, metavar="PORT"),
        _row("--http-port", "also serve health and Prometheus metrics over HTTP", type=int, metavar="PORT"),
        _switch("--no-advertise", "do not announce the service by zeroconf"),
    ),
    "computing": (
        _row("--threads", "threads per inference (default: all cores)", type=int, default=0, metavar="N"),
        _row(
            "--engine",
            f"{', '.join(engine_names())}, for models that have it (default: auto)",
            default="auto",
            metavar="NAME",
        ),
        _row("--device", "where to compute (default: %(default)s)", default="auto", metavar="auto|cpu|cuda[:i]"),
        _row("--precision", "of the engine torch (default: fp32)", default="fp32", choices=("fp32", "fp16", "bf16")),
        _switch("--tf32", "let the engine torch round float32 products to TF32"),
        _switch("--compile", "let the engine torch compile stages (torch.compile)", dest="compiled"),
        _switch("--tensorrt", "with --engine onnx on CUDA: TensorRT where it can"),
    ),
    "access": (
        _path("--token-file", "FILE", "require this bearer token (or environment PARTWAY_TOKEN)"),
        _path("--tls-cert", "FILE", "serve by TLS with this certificate, read again when it changes"),
        _path("--tls-key", "FILE", "the private key of --tls-cert"),
        _path("--tls-client-ca", "FILE", "require from devices a certificate of this CA"),
        _switch("--insecure", "listen beyond this machine without a token"),
    ),
    "batching": (
        _row(
            "--batching",
            "which frames run together: of any cut, of one cut, none (default: %(default)s)",
            choices=list(Mode),
            default=USUAL.mode,
        ),
        _row("--max-batch", "samples a batch (default: %(default)s)", type=int, default=USUAL.max_batch, metavar="N"),
        _row(
            "--max-wait",
            "a frame waits so long for others, while other devices are active (default: %(default)s)",
            default=show_s(USUAL.max_wait_s).replace(" ", ""),
            metavar="TIME",
        ),
        _row(
            "--max-queue",
            "frames that may wait; more are refused (default: %(default)s)",
            type=int,
            default=USUAL.max_queue,
            metavar="N",
        ),
    ),
    "process": (
        _switch("--until-stdin-closes", "end when standard input closes (embedded use)"),
        _switch("--json", "print one JSON line when ready instead of a sentence"),
        _row(
            "--health",
            "print whether this container's cloud serves, and exit",
            action=HealthAction,
            nargs=0,
            const=ask_health,
        ),
        _row("--version", "print the version, and exit", action="version", version=f"partway {partway.__version__}"),
    ),
}
"""Every option, by the part of the cloud that uses it."""


def parser() -> Parser:
    """The command line."""
    command_line = Parser("cloud-serve", description="Serve the cloud half of split models over gRPC.")
    for title, rows in OPTIONS.items():
        group = command_line.add_argument_group(title)
        for flag, how in rows:
            group.add_argument(flag, **how)
    return command_line


def check_ranges(args: argparse.Namespace) -> None:
    """Raise InputError if a port or the number of threads is out of range."""
    for option, port in (("--grpc-port", args.grpc_port), ("--http-port", args.http_port or 0)):
        if not 0 <= port <= MAX_PORT:
            raise InputError(f"port {port} is out of range; choose 0 to {MAX_PORT} with {option}")
    if not 0 <= args.threads <= MAX_THREADS:
        raise InputError(f"--threads must be 0 (all cores) to {MAX_THREADS}")


def access_of(args: argparse.Namespace) -> AccessPolicy:
    """The access policy, with its files read. Raises InputError."""
    if (args.tls_cert is None) != (args.tls_key is None):
        raise InputError("TLS needs both --tls-cert FILE and --tls-key FILE")
    if args.tls_client_ca is not None and args.tls_cert is None:
        raise InputError("--tls-client-ca needs TLS: give --tls-cert FILE and --tls-key FILE as well")
    certificates = Certificates(args.tls_cert, args.tls_key, args.tls_client_ca) if args.tls_cert else None
    if certificates is not None:
        certificates.configuration()  # faulty files are reported before anything is started
    return AccessPolicy(token_of(args.token_file), certificates)


def computing_of(args: argparse.Namespace) -> Computing:
    """The engine and the device. Raises InputError if they are not available."""
    torch_options = {name: getattr(args, name) for name in TORCH_ONLY}
    return computing_on(args.engine, args.device, torch_options, args.tensorrt)


def batch_limits(args: argparse.Namespace) -> BatchLimits:
    """The limits of queue and batches. Raises InputError."""
    for option, value in (("--max-batch", args.max_batch), ("--max-queue", args.max_queue)):
        if not 1 <= value <= MAX_COUNT:
            raise InputError(f"{option} must be 1 to {MAX_COUNT}, not {value}")
    wait_s = parse_s(args.max_wait)
    if wait_s > MAX_WAIT_S:
        raise InputError(f"--max-wait {args.max_wait} is too long to wait for others; choose at most 1s")
    return BatchLimits(Mode(args.batching), args.max_batch, wait_s, args.max_queue)
