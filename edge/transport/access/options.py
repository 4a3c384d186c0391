"""The options for access to clouds, the same in every command that connects to one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.errors import InputError
from partway.system.option_table import add_options, checked, option, path, rows, switch, text

if TYPE_CHECKING:
    from partway.edge.transport.access.access import Access

_option = partial(option, programs=("edge-run", "Session", "partway doctor", "partway profile"))


def _name(value: Any, flag: str) -> str:
    return text(value, flag) if value else ""


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """Files and names. No option takes the token itself, because every user of the machine can read command lines."""

    token_file: Path | None = field(
        default=None,
        metadata=_option("--token-file", path, "bearer token for the cloud (or environment PARTWAY_TOKEN)", "FILE"),
    )
    tls: bool = field(
        default=False,
        metadata=_option(
            "--tls", switch, "use TLS; the cloud's certificate must come from a CA that this system trusts"
        ),
    )
    tls_ca: Path | None = field(
        default=None,
        metadata=_option("--tls-ca", path, "use TLS; the cloud's certificate must come from this CA", "FILE"),
    )
    tls_cert: Path | None = field(
        default=None,
        metadata=_option("--tls-cert", path, "this device's own certificate, for a cloud that requires one", "FILE"),
    )
    tls_key: Path | None = field(default=None, metadata=_option("--tls-key", path, "private key of --tls-cert", "FILE"))
    tls_name: str = field(
        default="",
        metadata=_option(
            "--tls-name", _name, "name that the cloud's certificate must carry (default: its address)", "NAME"
        ),
    )

    def access(self) -> Access:
        """The access to a cloud, with every file read. Raises InputError."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("a device's own certificate needs both --tls-cert FILE and --tls-key FILE")
        from partway.edge.transport.access.access import Access
        from partway.edge.transport.access.tls import Tls, system_roots
        from partway.edge.transport.access.tls import checked as with_files_checked
        from partway.system.credentials import read_certificates, token_of

        tls = None
        if self.tls or self.tls_ca or self.tls_cert or self.tls_name:
            roots = system_roots() if self.tls_ca is None else read_certificates(self.tls_ca, "CA file")
            tls = with_files_checked(Tls(roots, self.tls_cert, self.tls_key, self.tls_name))
        return Access(token_of(self.token_file), tls)


def access_options(values: Mapping[str, Any]) -> AccessOptions:
    """The options, checked. Raises InputError."""
    return AccessOptions(**checked(rows(AccessOptions), values))


def access_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--token-file`` and ``--tls…`` to a parser."""
    add_options(parser, rows(AccessOptions))


def access_of(args: argparse.Namespace) -> Access:
    """The access that the arguments describe, with every file read. Raises InputError."""
    return access_options(vars(args)).access()
