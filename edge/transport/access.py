"""How this device reaches clouds: in the clear or by TLS, and the bearer token it brings.

A token goes to the clouds that were named, or to one that was found only where TLS says who it is: anybody on a network
can announce a cloud.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.system.credentials import read_certificates, read_key

log = logging.getLogger("partway.edge")


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM data. ``roots`` None: gRPC's own list of CAs; ``name``: whose certificate it must be, '' for the address."""

    roots: bytes | None = None
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""

    def credentials(self) -> Any:
        """gRPC channel credentials."""
        import grpc

        if self.certificate is None or self.key is None:
            return grpc.ssl_channel_credentials(self.roots)
        own = read_key(self.key), read_certificates(self.certificate, "TLS certificate")
        return grpc.ssl_channel_credentials(self.roots, *own)

    def fault(self, address: str) -> str:
        """What is wrong with TLS at HOST:PORT, and what to do; empty when nothing is, or nobody is there at all."""
        from partway.edge.transport.tls_diagnosis import tls_fault  # and with it Python's own TLS, which takes 4 MB

        return tls_fault(address, self)


@dataclass(frozen=True, slots=True)
class Access:
    """What to bring to a cloud. ``token`` '' for none, ``tls`` None for a connection in the clear."""

    token: str = field(default="", repr=False)
    tls: Tls | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """To send with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel(self, address: str, options: list[tuple[str, Any]], kind: Any) -> Any:
        """A channel of ``kind``: ``grpc.aio``, or grpc for a blocking one."""
        if self.tls is None:
            return kind.insecure_channel(address, options=options)
        named = [("grpc.ssl_target_name_override", self.tls.name)] if self.tls.name else []
        return kind.secure_channel(address, self.tls.credentials(), options=[*options, *named])

    def for_found(self, address: str, tls: bool) -> Access:
        """For a cloud that announced itself, by TLS or not. Raises InputError where it may not be trusted."""
        if tls:
            return self if self.tls is not None else replace(self, tls=Tls(system_roots()))
        if self.tls is not None:
            raise InputError(f"the cloud found at {address} does not use TLS, which was asked for; it is not used")
        if self.token:
            raise InputError(
                f"the cloud found at {address} does not use TLS, so it is not given the token; name it with --cloud"
                f" {address}, or start it with --tls-cert and --tls-key"
            )
        return self

    def warn(self, address: str) -> None:
        """Say once when the token crosses a network in the clear."""
        if self.token and self.tls is None and not _is_loopback(address.rpartition(":")[0]):
            _warn_once(address)


OPEN = Access()
"""In the clear, without a token: for a cloud on this machine."""


def checked(tls: Tls) -> Tls:
    """The same, once its files have been looked at. Raises InputError."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.roots is not None:
            context.load_verify_locations(cadata=tls.roots.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise InputError("the CA file holds a damaged certificate; check --tls-ca") from None
    if tls.certificate is None or tls.key is None:
        return tls
    tls.credentials()
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (ssl.SSLError, ValueError):
        raise InputError(
            f"TLS key {tls.key} is not the key of certificate {tls.certificate}, or one of them is damaged; give the"
            " two that belong together"
        ) from None
    return tls


def system_roots() -> bytes | None:
    """The CAs this system trusts, as OpenSSL finds them (``SSL_CERT_FILE`` included); None where there is no file."""
    import ssl

    file = ssl.get_default_verify_paths().cafile
    return read_certificates(Path(file), "the system's CA file") if file else None


@cache
def _warn_once(address: str) -> None:
    log.warning("the token crosses the network to %s in the clear; use TLS (--tls-ca FILE)", address)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
