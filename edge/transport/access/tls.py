"""TLS as this device brings it to a cloud: the CAs it trusts, and its own certificate where it has one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.system.credentials import read_certificates, read_key


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
