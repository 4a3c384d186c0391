"""What edge-run was asked for, checked before anything is loaded."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from partway.edge.sources.stdin import parse_shape
from partway.edge.transport.access import OPEN, Access
from partway.edge.transport.access_options import access_of
from partway.edge.transport.address import parse_address
from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.objectives import Objective, objective
from partway.partitioner.decide.options import MAX_DROP, constraints_of, objective_of
from partway.partitioner.profile.measure import machine_name
from partway.proto.codecs.registry import check_codec
from partway.units import parse_bps, parse_s

MOST_WINDOW = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What edge-run was asked for. ``cloud``: auto, embedded, none or addresses. ``notes``: what was assumed.

    ``window`` None adapts it. ``when_behind`` is a policy of Feed; ``in_order`` False hands out results as they come.
    ``audit`` is the share of coded frames, 0 to 1, whose answers the cloud compares with those to exact values.
    """

    model: str
    split: str = "auto"
    cloud: str = "auto"
    inputs: tuple[str, ...] = ()
    stdin_shape: tuple[int, ...] | None = None
    frames: int | None = None
    codec: str = "auto"
    objective: Objective = objective()  # noqa: RUF009 - frozen
    constraints: Constraints = Constraints(max_drop=MAX_DROP)  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()
    bandwidth_bps: float | None = None
    rtt_s: float | None = None
    deadline_s: float | None = None
    window: int | None = None
    when_behind: str = "block"
    in_order: bool = True
    batch: int = 1
    threads: int = 0
    engine: str = "auto"
    cache: Path | None = None
    random_weights: bool = False
    timeout_s: float = 5.0
    audit: float = 0.0
    access: Access = OPEN


def options_of(args: argparse.Namespace) -> Options:
    """Checked options. Raises InputError."""
    if args.frames is not None and args.frames < 1:
        raise InputError(f"--frames must be 1 or more, not {args.frames}")
    if not 1 <= args.batch <= 64:
        raise InputError(f"--batch must be 1 to 64, not {args.batch}")
    if args.threads < 0:
        raise InputError(f"--threads must be 0 (all cores) or more, not {args.threads}")
    constraints = constraints_of(args)
    wanted, notes = objective_of(args, machine_name())
    _check_cloud(args.cloud)
    check_codec(args.codec)
    return Options(
        model=args.model,
        split=args.split,
        cloud=args.cloud,
        inputs=tuple(args.input),
        stdin_shape=None if args.stdin_shape is None else parse_shape(args.stdin_shape),
        frames=args.frames,
        codec=args.codec,
        objective=wanted,
        constraints=constraints,
        notes=notes,
        bandwidth_bps=parse_bps(args.bandwidth) if args.bandwidth else None,
        rtt_s=parse_s(args.rtt) if args.rtt else None,
        deadline_s=parse_s(args.deadline) if args.deadline else None,
        window=_window(str(args.window)),
        when_behind=args.when_behind,
        in_order=args.order == "source",
        batch=args.batch,
        threads=args.threads,
        engine=args.engine,
        cache=args.cache,
        random_weights=args.random_weights,
        timeout_s=parse_s(args.timeout),
        audit=_share(args.audit),
        access=OPEN if args.cloud in ("embedded", "none") else access_of(args),
    )


def _share(text: str) -> float:
    """``1%`` or ``0.01``."""
    number, scale = (text[:-1], 100.0) if text.endswith("%") else (text, 1.0)
    try:
        share = float(number) / scale
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"--audit is a share of the frames, for example 1%, not {text!r}")
    return share


def _window(text: str) -> int | None:
    if text == "auto":
        return None
    window = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    if not 1 <= window <= MOST_WINDOW:
        raise InputError(f"--window must be 1 to {MOST_WINDOW}, or auto, not {text}")
    return window


def _check_cloud(cloud: str) -> None:
    if cloud not in ("auto", "embedded", "none"):
        for address in cloud.split(","):
            parse_address(address)
