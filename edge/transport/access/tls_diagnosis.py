"""Explains why a TLS connection fails; gRPC itself reports only that the handshake failed."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from partway.edge.transport.access.tls import Tls

NO_CERTIFICATE = "it requires a certificate of this device; give --tls-cert FILE and --tls-key FILE"
LOOK_S = 2.0
ANSWER_S = 0.5
"""How long a satisfied server takes to send something: HTTP/2 begins with its settings."""


def tls_fault(address: str, tls: Tls) -> str:
    """What is wrong with TLS at HOST:PORT, and what to do; empty if nothing is, or if no server answers."""
    host, port = _host_port(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.roots is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=tls.roots.decode("ascii"))
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["h2"])
    name = tls.name or host.split("%")[0]
    try:
        with socket.create_connection((host, port), LOOK_S) as plain:
            return _handshake_fault(context, plain, name, tls.certificate)
    except OSError:
        return ""


def _handshake_fault(context: ssl.SSLContext, plain: socket.socket, name: str, own: Path | None) -> str:
    try:
        with context.wrap_socket(plain, server_hostname=name) as secure:
            secure.settimeout(ANSWER_S)
            with contextlib.suppress(TimeoutError):
                if not secure.recv(1):  # servers refuse a device's certificate only after the handshake
                    return NO_CERTIFICATE if own is None else f"it does not accept {own}; give one of the CA it trusts"
    except ssl.SSLCertVerificationError as error:
        return _certificate_fault(error, name)
    except ssl.SSLError as error:
        reason = str(error.reason or error).lower().replace("_", " ")
        if "alert" in reason:
            return (
                NO_CERTIFICATE if own is None else f"it does not accept {own} ({reason}); give one of the CA it trusts"
            )
        return "the server does not speak TLS; start cloud-serve with --tls-cert and --tls-key, or leave out --tls…"
    except OSError:
        return "it ends the connection in the TLS handshake; it may not speak TLS: check cloud-serve's --tls-cert"
    return ""


def _certificate_fault(error: ssl.SSLCertVerificationError, name: str) -> str:
    problem = str(error.verify_message).lower().rstrip(".")
    if "mismatch" in problem:
        return (
            f"its certificate is not for {name}; give the address that is in the certificate, or the name in it with"
            " --tls-name NAME"
        )
    if "expired" in problem or "not yet valid" in problem:
        return f"its certificate is not valid now ({problem}); renew it, or set the clock of this device"
    return (
        f"its certificate is not from a CA that this device trusts ({problem}); give the CA's own certificate with"
        " --tls-ca FILE"
    )


def speaks_tls(address: str) -> bool:
    """Whether a TLS server listens at HOST:PORT."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # no data is sent, only the protocol is checked
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection(_host_port(address), ANSWER_S) as plain,
            context.wrap_socket(plain) as secure,
        ):
            return secure.version() is not None
    except OSError:
        return False


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
