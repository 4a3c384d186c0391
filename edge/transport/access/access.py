"""How this device connects to clouds: in the clear or by TLS, and with which bearer token.

The device sends its token to clouds that the user named. It sends it to a cloud found by zeroconf only if TLS proves
the cloud's identity, because anybody on a network can announce a cloud.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from partway.edge.transport.access.tls import Tls, system_roots
from partway.errors import InputError

log = logging.getLogger("partway.edge")


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials for a cloud. ``token`` is '' for none, ``tls`` is None for a connection in the clear."""

    token: str = field(default="", repr=False)
    tls: Tls | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The gRPC metadata to send with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel(self, address: str, options: list[tuple[str, Any]], kind: Any) -> Any:
        """A channel of ``kind``: ``grpc.aio``, or grpc for a blocking one."""
        if self.tls is None:
            return kind.insecure_channel(address, options=options)
        named = [("grpc.ssl_target_name_override", self.tls.name)] if self.tls.name else []
        return kind.secure_channel(address, self.tls.credentials(), options=[*options, *named])

    def for_found(self, address: str, tls: bool) -> Access:
        """The access to an announced cloud, with or without TLS. Raises InputError if it must not be trusted."""
        if tls:
            return self if self.tls is not None else replace(self, tls=Tls(system_roots()))
        if self.tls is not None:
            raise InputError(f"the cloud found at {address} does not use TLS, which was requested; it is not used")
        if self.token:
            raise InputError(
                f"the cloud found at {address} does not use TLS, so it does not get the token; name it with --cloud"
                f" {address}, or start it with --tls-cert and --tls-key"
            )
        return self

    def tls_fault(self, address: str) -> str:
        """What is wrong with TLS at HOST:PORT, and what to do; empty without TLS, a fault or a server."""
        if self.tls is None:
            return ""
        from partway.edge.transport.access.tls_diagnosis import (
            tls_fault,  # loads Python's own TLS, which takes 4 MB
        )

        return tls_fault(address, self.tls)

    def warn(self, address: str) -> None:
        """Warn once if the token crosses a network in the clear."""
        if self.token and self.tls is None and not _is_loopback(address.rpartition(":")[0]):
            _warn_once(address)


OPEN = Access()
"""In the clear, without a token: for a cloud on this machine."""


@cache
def _warn_once(address: str) -> None:
    log.warning("the token crosses the network to %s in the clear; use TLS (--tls-ca FILE)", address)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
