"""``partway doctor``: check this machine, its network and the clouds around it, and give advice."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from partway.edge.transport.access.options import access_arguments, access_of
from partway.units import parse_s, shown

if TYPE_CHECKING:
    from partway.system.arguments import Parser

HELP = "check this machine, its network and clouds, and give advice"
MARKS = {"good": "ok  ", "note": "note", "bad": "BAD "}


def add_arguments(parser: Parser) -> None:
    """The options of ``partway doctor``."""
    add = parser.add_argument
    add("--cloud", action="append", default=[], metavar="HOST:PORT", help="also check this cloud (repeatable)")
    add("--wait", default="1.5s", metavar="TIME", help="how long to listen for clouds (default: %(default)s)")
    add("--cache", type=Path, metavar="DIR", help="the folder for fetched stages (default: ~/.cache/partway)")
    add("--json", action="store_true", help="print one JSON object")
    access_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Check everything, and print each result. Returns 0 if an inference can run here or in a cloud, else 1."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from partway.edge.doctor.checks import MACHINE_CHECKS, Finding, check_cache, ready, to_json
    from partway.edge.doctor.network import network_checks
    from partway.edge.transport.address import parse_address

    wait_s, addresses = parse_s(args.wait), [parse_address(address) for address in args.cloud]
    access = access_of(args)
    findings: list[Finding] = []
    checks: list[Callable[[], list[Finding]]] = [*MACHINE_CHECKS, partial(check_cache, args.cache)]
    for check in [*checks, *network_checks(wait_s, addresses, access)]:
        for finding in check():
            findings.append(finding)
            if not args.json:
                print(f"{MARKS[finding.state]}  {finding.check:<13} {shown(finding.text)}", flush=True)
                if finding.todo:
                    print(f"      {'':<13} -> {shown(finding.todo)}", flush=True)
    if args.json:
        print(json.dumps(to_json(findings)))
    else:
        print("an inference can run" if ready(findings) else "no inference can run: see what is BAD above")
    return 0 if ready(findings) else 1
