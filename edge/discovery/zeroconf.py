"""Finds clouds that announce themselves on the local network by zeroconf (``_partway._tcp.local.``).

The search listens on every interface, with both versions of IP. A cloud announces all its addresses, and some are not
reachable from here: the first that accepts a connection counts. A cloud that signs off, or whose announcement expires,
is removed.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any

log = logging.getLogger("partway.edge")

SERVICE_TYPE = "_partway._tcp.local."
CONNECT_S = 0.3
GRACE_S = 0.15
"""How long to wait for further clouds after the first match, before the nearest is chosen."""


@dataclass(frozen=True, slots=True)
class FoundCloud:
    """A cloud that announced itself: its address, and the plans it serves (name -> first half of the plan's digest).

    ``version`` is that of its Partway, ``load`` its last announced number of runnable processes per core, or None,
    ``hosts`` every address it announced.
    """

    address: str
    models: dict[str, str]
    version: str = ""
    tls: bool = False
    load: float | None = None
    hosts: tuple[str, ...] = field(default=(), compare=False)


class Search:
    """Looks for clouds in the background from construction on; ``result`` waits for the rest of ``wait_s``."""

    def __init__(self, wait_s: float = 1.0) -> None:
        self._until_s = monotonic() + wait_s
        self._found: dict[str, FoundCloud] = {}
        self._updated = threading.Condition()
        self._closing = threading.Event()
        self._zeroconf: Any = None
        self._starter = threading.Thread(target=self._start, name="search", daemon=True)
        self._starter.start()

    def _start(self) -> None:
        try:
            from zeroconf import ServiceBrowser

            zeroconf = open_zeroconf()
            self._zeroconf = zeroconf
            ServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[self._changed])
        except (OSError, RuntimeError) as error:  # RuntimeError: no network interface at all
            log.info("cannot look for clouds by zeroconf: %s", error)
        except Exception as error:  # any other fault: log it; clouds given by --cloud still work
            log.warning("cannot look for clouds by zeroconf (%s); name one with --cloud", _reason(error))

    def _changed(self, zeroconf: Any, service_type: str, name: str, state_change: object) -> None:
        from zeroconf import Error, ServiceStateChange

        if state_change is ServiceStateChange.Removed:
            self.withdraw(name)
            return
        try:
            info = zeroconf.get_service_info(service_type, name, timeout=500)
            self._announced(name, info)
        except (Error, RuntimeError, TimeoutError):
            return  # the search ended meanwhile
        except Exception as error:  # an announcement that cannot be read must not end zeroconf's thread
            log.warning("the announcement of %s cannot be read (%s)", name, _reason(error))

    def _announced(self, name: str, info: Any) -> None:
        """Take a new or changed announcement of a cloud."""
        hosts = info.parsed_scoped_addresses() if info is not None and info.port else []
        address = self._previous_address(name, hosts, info) or (reachable(hosts, info.port) if hosts else None)
        if address is not None:
            self.add(_found(address, tuple(hosts), info.properties), name)

    def _previous_address(self, name: str, hosts: Sequence[str], info: Any) -> str | None:
        """The address already in use for this cloud, if it is still reachable, so that frames need not move."""
        previous = self._found.get(name)
        same = [
            host for host in hosts if previous is not None and f"{_bracketed(host)}:{info.port}" == previous.address
        ]
        return reachable(same, info.port) if same else None

    def add(self, found: FoundCloud, name: str | None = None) -> None:
        """Add or update a cloud; ``name`` is the name it announces."""
        with self._updated:
            self._found[name or found.address] = found
            self._updated.notify_all()

    def withdraw(self, name: str) -> None:
        """Remove a cloud that has signed off, or whose announcement has expired."""
        with self._updated:
            if self._found.pop(name, None) is not None:
                log.info("the cloud %s is no longer announced", name.removesuffix(f".{SERVICE_TYPE}"))
            self._updated.notify_all()

    def clouds(self) -> tuple[FoundCloud, ...]:
        """The clouds announced now, in the order in which they were found."""
        with self._updated:
            return tuple(self._found.values())

    def wait(self) -> tuple[FoundCloud, ...]:
        """Wait for the rest of ``wait_s``; returns the clouds announced then."""
        self._closing.wait(max(0.0, self._until_s - monotonic()))
        return self.clouds()

    def result(
        self, model: str, digest: str, seconds_of: Callable[[FoundCloud], float] | None = None
    ) -> FoundCloud | None:
        """A cloud that serves the model with the same plan; None if none is found in time.

        Of several, the one with the least ``seconds_of`` (``nearest.round_trip_s``), or without that the first found.
        The search continues.
        """

        def matching() -> list[FoundCloud]:
            return [found for found in self._found.values() if serves(found, model, digest)]

        with self._updated:
            matches = self._updated.wait_for(matching, max(0.0, self._until_s - monotonic()))
            if matches and seconds_of is not None:
                self._updated.wait_for(lambda: False, GRACE_S)
                matches = matching()
        if len(matches) > 1 and seconds_of is not None:
            return min(matches, key=seconds_of)
        return matches[0] if matches else None

    def close(self) -> None:
        """End the search, without waiting until it has ended."""
        if not self._closing.is_set():
            self._closing.set()
            threading.Thread(target=self._close, name="search-close", daemon=True).start()

    def __enter__(self) -> Search:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close(self) -> None:
        self._starter.join(5.0)
        if self._zeroconf is not None:
            self._zeroconf.close()


def open_zeroconf() -> Any:
    """Zeroconf on every interface but loopback. Raises OSError or RuntimeError if there is none."""
    import ifaddr
    from zeroconf import InterfaceChoice, IPVersion, Zeroconf

    logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # it logs a traceback for each unplugged cable
    addresses = [address for adapter in ifaddr.get_adapters() for address in adapter.ips]
    own_addresses = [str(ip.ip) if ip.is_IPv4 else str(ip.ip[0]) for ip in addresses]
    outside = [host for host in own_addresses if not ipaddress.ip_address(host).is_loopback]
    if not any(":" in host for host in outside):
        return Zeroconf(interfaces=outside or InterfaceChoice.All)
    try:
        return Zeroconf(interfaces=outside, ip_version=IPVersion.All)
    except OSError:
        return Zeroconf()


def serves(found: FoundCloud, model: str, digest: str) -> bool:
    """Whether the cloud announces the model with this plan."""
    announced = found.models.get(model)
    return bool(announced) and digest.startswith(str(announced))


def reachable(hosts: Sequence[str], port: int, wait_s: float = CONNECT_S) -> str | None:
    """The HOST:PORT that first accepts a connection; all are tried at once, since announcements may be stale."""
    connections: list[socket.socket] = []
    with selectors.DefaultSelector() as selector:
        try:
            for host in hosts:
                with suppress(OSError):
                    connections.append(_connecting(host, port))
                    selector.register(connections[-1], selectors.EVENT_WRITE, host)
            until_s = monotonic() + wait_s
            while selector.get_map() and (remaining_s := until_s - monotonic()) > 0:
                for key, _ in sorted(selector.select(remaining_s), key=lambda ready: hosts.index(ready[0].data)):
                    connection: Any = key.fileobj
                    if not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        return f"{_bracketed(key.data)}:{port}"
                    selector.unregister(connection)
        finally:
            for connection in connections:
                connection.close()
    log.info("the cloud announced at port %d of %s does not respond", port, ", ".join(hosts))
    return None


def _connecting(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        if (code := connection.connect_ex(target)) not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except OSError:
        connection.close()
        raise
    return connection


def _found(address: str, hosts: tuple[str, ...], properties: dict[bytes, bytes | None]) -> FoundCloud:
    texts = {key.decode(errors="replace"): (value or b"").decode(errors="replace") for key, value in properties.items()}
    prefix = "model."
    models = {key[len(prefix) :]: value for key, value in texts.items() if key.startswith(prefix)}
    try:
        load: float | None = float(texts.get("load", ""))
    except ValueError:
        load = None
    return FoundCloud(address, models, texts.get("version", ""), texts.get("tls") == "1", load, hosts)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
