"""Access control of the cloud: a bearer token on every call except health checks, and TLS.

The token is checked before any body is read. So no data of a caller without a token is decompressed or decoded, and a
gzip bomb does no harm.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import grpc

from partway.cloud.access.certificates import Certificates
from partway.errors import InputError

log = logging.getLogger("partway.cloud")

NO_TOKEN = "this cloud requires a token and none was sent: give --token-file FILE or set PARTWAY_TOKEN"  # noqa: S105
WRONG_TOKEN = "the token does not match this cloud's: compare --token-file or PARTWAY_TOKEN on both sides"  # noqa: S105
LOG_EVERY_S = 10.0
"""Refusals are logged at most this often."""


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What ``cloud-serve`` requires of callers: a token ('' for none), and TLS (None for none)."""

    token: str = field(default="", repr=False)
    certificates: Certificates | None = None

    def refusal(self, authorization: Sequence[str]) -> str | None:
        """Why a call with these ``authorization`` headers is refused; None if it is admitted.

        The comparison takes the same time for any wrong token.
        """
        if not self.token:
            return None
        if len(authorization) != 1:
            return NO_TOKEN
        scheme, _, sent = authorization[0].partition(" ")
        matches = hmac.compare_digest(sent.strip().encode(), self.token.encode())
        return None if matches and scheme.lower() == "bearer" else WRONG_TOKEN

    def handlers(
        self, inner: Sequence[grpc.GenericRpcHandler], open_calls: Collection[str] = ()
    ) -> tuple[grpc.GenericRpcHandler, ...]:
        """The handlers to register: ``inner``, guarded by the token if there is one. ``open_calls`` need no token."""
        return (Guarded(self, inner, open_calls),) if self.token else tuple(inner)

    def bind(self, server: Any, address: str) -> int:
        """Open a port on a grpc.aio server. Raises RuntimeError, as gRPC does, if it is in use."""
        if self.certificates is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, self.certificates.credentials()))

    def check_bind(self, host: str, insecure: bool) -> None:
        """Raise InputError if other machines could connect without a token, unless ``insecure``. Warn without TLS."""
        if is_loopback(host):
            return
        if not self.token:
            if not insecure:
                raise InputError(
                    f"--host {host} lets everybody who reaches this machine use it; give a token (--token-file FILE or"
                    " PARTWAY_TOKEN), or --insecure to serve without one"
                )
            log.warning("insecure: everybody who reaches %s may use this cloud without a token", host)
        elif self.certificates is None:
            log.warning("the token crosses the network in the clear; give --tls-cert and --tls-key")


class Guarded(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Handlers guarded by a token. A call without the right token is refused before its body is read."""

    def __init__(
        self, access: AccessPolicy, inner: Sequence[grpc.GenericRpcHandler], open_calls: Collection[str]
    ) -> None:
        self._access, self._inner, self._open_calls = access, tuple(inner), frozenset(open_calls)
        self._logged_s = float("-inf")
        self._refusals = {
            why: grpc.stream_stream_rpc_method_handler(self._refuse(why)) for why in (NO_TOKEN, WRONG_TOKEN)
        }

    def service(self, details: Any) -> Any:
        """The handler of a call, by method and headers; gRPC calls this."""
        if details.method not in self._open_calls:
            sent = [_text(value) for key, value in details.invocation_metadata or () if key == "authorization"]
            why = self._access.refusal(sent)
            if why is not None:
                return self._refusals[why]
        return next(filter(None, (handler.service(details) for handler in self._inner)), None)

    def _refuse(self, why: str) -> Any:
        async def refuse(_: Any, context: Any) -> None:
            now_s = monotonic()
            if now_s - self._logged_s > LOG_EVERY_S:
                self._logged_s = now_s
                log.warning("refused %s: %s", context.peer(), "no token" if why == NO_TOKEN else "wrong token")
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, why)

        return refuse


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on ``host``; for a name, all its addresses must be loopback."""
    bare = host.strip("[]")
    try:
        return ipaddress.ip_address(bare.split("%")[0]).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(address[0]).split("%")[0]).is_loopback for *_, address in found)
