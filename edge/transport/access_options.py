"""The options that say how clouds are reached, alike in every command that reaches one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from partway.errors import InputError

if TYPE_CHECKING:
    from partway.edge.transport.access import Access


def access_arguments(parser: argparse.ArgumentParser) -> None:
    """A token is never given on the command line, where every user of the machine sees it."""
    add = parser.add_argument
    add("--token-file", type=Path, metavar="FILE", help="bearer token for the cloud (or environment PARTWAY_TOKEN)")
    add("--tls", action="store_true", help="reach the cloud by TLS, its certificate from a CA this system trusts")
    add("--tls-ca", type=Path, metavar="FILE", help="by TLS, its certificate from this CA")
    add("--tls-cert", type=Path, metavar="FILE", help="this device's own certificate, for a cloud that wants one")
    add("--tls-key", type=Path, metavar="FILE", help="and its private key")
    add("--tls-name", default="", metavar="NAME", help="whose certificate it must be (default: the address's)")


def access_of(args: argparse.Namespace) -> Access:
    """What was asked for, every file read. Raises InputError."""
    if (args.tls_cert is None) != (args.tls_key is None):
        raise InputError("a device's own certificate needs both --tls-cert FILE and --tls-key FILE")
    from partway.edge.transport.access import Access, Tls, checked, system_roots
    from partway.system.credentials import read_certificates, token_of

    tls = None
    if args.tls or args.tls_ca or args.tls_cert or args.tls_name:
        roots = system_roots() if args.tls_ca is None else read_certificates(args.tls_ca, "CA file")
        tls = checked(Tls(roots, args.tls_cert, args.tls_key, args.tls_name))
    return Access(token_of(args.token_file), tls)
