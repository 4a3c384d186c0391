"""This device's TLS settings: the CAs it trusts, and its own certificate if it has one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.system.credentials import read_certificates, read_key


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings. ``roots`` is PEM data, or None for gRPC's own CAs.

    ``name`` is the name that the cloud's certificate must carry; '' means the address.
    """

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
    """Check the files, and return the same settings. Raises InputError."""
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
    """The CAs that this system trusts, as OpenSSL finds them (also by ``SSL_CERT_FILE``); None without a file."""
    import ssl

    file = ssl.get_default_verify_paths().cafile
    return read_certificates(Path(file), "the system's CA file") if file else None
