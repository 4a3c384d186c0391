"""Addresses of cameras: which are valid, and their parts. The credentials in them are never part of a message."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

from partway.edge.sources.cameras import reopening
from partway.edge.sources.cameras.reopening import Unreachable
from partway.errors import InputError
from partway.units import HIDDEN, redacted

PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935}
HOW = (
    "write SCHEME://USER:PASSWORD@HOST:PORT/PATH, and in a password %2F for /, %3F for ?, %40 for @ and %20 for a space"
)


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a camera's address. ``url`` holds no user and password, ``label`` no secret at all.

    ``port`` is 0 if nothing listens at the address: the camera sends to it.
    """

    label: str
    url: str = field(repr=False)
    host: str
    port: int
    user: str | None = field(repr=False)
    password: str = field(repr=False)


def camera_address(text: str) -> Address:
    """The address of ``scheme://[user[:password]@]host[:port]/path``. Raises InputError."""
    label = redacted(text) if text.isprintable() and " " not in text else HIDDEN
    try:
        parts = urlsplit(text)
        credentials, at, place = parts.netloc.rpartition("@")
        host, port = parts.hostname, parts.port
    except ValueError:  # its message would show what it takes for the port: a part of a password
        raise InputError(f"{label} is not a valid address; {HOW}") from None
    if label == HIDDEN or "@" in parts.path + parts.query + parts.fragment:
        raise InputError(f"{text.partition(':')[0]}://{HIDDEN} is not a valid address; {HOW}")
    if not host:
        raise InputError(f"{label} names no host; write {parts.scheme}://HOST/PATH")
    user, _, password = credentials.partition(":")
    url = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
    port = (port or PORTS[parts.scheme]) if parts.scheme in PORTS else 0
    return Address(label, url, host, port, unquote(user) if at else None, unquote(password))


def check_reachable(address: Address) -> None:
    """Raise Unreachable, with the reason, if nothing accepts a TCP connection at the address."""
    try:
        socket.create_connection((address.host, address.port), reopening.STALL_S / 2).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise Unreachable(
            f"camera {address.label} cannot be reached ({why}); check the address and the network"
        ) from None
