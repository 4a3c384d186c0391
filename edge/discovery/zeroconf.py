"""Clouds on the local network that announce themselves by zeroconf (``_partway._tcp.local.``).

Every interface and both versions of IP are listened on. A cloud announces all its addresses, and some lead nowhere from
here: the first that takes a connection counts. One that says goodbye, or whose announcement runs out, is forgotten.
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
"""How long others may take to be heard of after the first cloud that fits, before the nearest is taken."""


@dataclass(frozen=True, slots=True)
class FoundCloud:
    """A cloud that announced itself: where, and which plans (name -> first half of the plan's digest) it serves.

    ``version`` of its Partway; ``load``: runnable processes per core when it last told, None where it does not tell;
    ``hosts``: every address it announced.
    """

    address: str
    models: dict[str, str]
    version: str = ""
    tls: bool = False
    load: float | None = None
    hosts: tuple[str, ...] = field(default=(), compare=False)


class Search:
    """Looks for clouds in the background from the moment it is made; ``result`` waits for what is left of the time."""

    def __init__(self, wait_s: float = 1.0) -> None:
        self._until_s = monotonic() + wait_s
        self._found: dict[str, FoundCloud] = {}
        self._news = threading.Condition()
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
        except Exception as error:  # whatever else: it is said, and clouds that are named still work
            log.warning("cannot look for clouds by zeroconf (%s); name one with --cloud", _reason(error))

    def _changed(self, zeroconf: Any, service_type: str, name: str, state_change: object) -> None:
        from zeroconf import Error, ServiceStateChange

        if state_change is ServiceStateChange.Removed:
            self.left(name)
            return
        try:
            info = zeroconf.get_service_info(service_type, name, timeout=500)
            self._announced(name, info)
        except (Error, RuntimeError, TimeoutError):
            return  # the search has ended meanwhile
        except Exception as error:  # an announcement that cannot be read must not end zeroconf's thread
            log.warning("the announcement of %s cannot be read (%s)", name, _reason(error))

    def _announced(self, name: str, info: Any) -> None:
        """A cloud has announced itself, or news of itself."""
        hosts = info.parsed_scoped_addresses() if info is not None and info.port else []
        address = self._still(name, hosts, info) or (reachable(hosts, info.port) if hosts else None)
        if address is not None:
            self.heard(_found(address, tuple(hosts), info.properties), name)

    def _still(self, name: str, hosts: Sequence[str], info: Any) -> str | None:
        """The address it was known at, where that is good as before: whoever uses it need not move."""
        known = self._found.get(name)
        same = [host for host in hosts if known is not None and f"{_bracketed(host)}:{info.port}" == known.address]
        return reachable(same, info.port) if same else None

    def heard(self, found: FoundCloud, name: str | None = None) -> None:
        """Another cloud, or news of one; ``name`` is what it announces itself as."""
        with self._news:
            self._found[name or found.address] = found
            self._news.notify_all()

    def left(self, name: str) -> None:
        """A cloud has said goodbye, or has not been heard of for too long."""
        with self._news:
            if self._found.pop(name, None) is not None:
                log.info("the cloud %s has left", name.removesuffix(f".{SERVICE_TYPE}"))
            self._news.notify_all()

    def clouds(self) -> tuple[FoundCloud, ...]:
        """Those that are there now, in the order they were heard of."""
        with self._news:
            return tuple(self._found.values())

    def wait(self) -> tuple[FoundCloud, ...]:
        """Those that are there when the time is over."""
        self._closing.wait(max(0.0, self._until_s - monotonic()))
        return self.clouds()

    def result(
        self, model: str, digest: str, seconds_of: Callable[[FoundCloud], float] | None = None
    ) -> FoundCloud | None:
        """The cloud that serves the model with the same plan, None when the time is over without one.

        Of several, the one for which ``seconds_of`` (probe.round_trip_s) is least; without it the first that was heard.
        The search goes on.
        """

        def matching() -> list[FoundCloud]:
            return [found for found in self._found.values() if serves(found, model, digest)]

        with self._news:
            fitting = self._news.wait_for(matching, max(0.0, self._until_s - monotonic()))
            if fitting and seconds_of is not None:
                self._news.wait_for(lambda: False, GRACE_S)
                fitting = matching()
        if len(fitting) > 1 and seconds_of is not None:
            return min(fitting, key=seconds_of)
        return fitting[0] if fitting else None

    def close(self) -> None:
        """Stop looking; does not wait until that is done."""
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
    """On every interface but loopback, with the versions of IP it has. Raises OSError or RuntimeError without any."""
    import ifaddr
    from zeroconf import InterfaceChoice, IPVersion, Zeroconf

    logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # of every cable that is unplugged it prints a traceback
    addresses = [address for adapter in ifaddr.get_adapters() for address in adapter.ips]
    mine = [str(ip.ip) if ip.is_IPv4 else str(ip.ip[0]) for ip in addresses]
    outside = [host for host in mine if not ipaddress.ip_address(host).is_loopback]
    if not any(":" in host for host in outside):
        return Zeroconf(interfaces=outside or InterfaceChoice.All)
    try:
        return Zeroconf(interfaces=outside, ip_version=IPVersion.All)
    except OSError:
        return Zeroconf()


def serves(found: FoundCloud, model: str, digest: str) -> bool:
    """Whether it announces the model with this plan."""
    theirs = found.models.get(model)
    return bool(theirs) and digest.startswith(str(theirs))


def reachable(hosts: Sequence[str], port: int, wait_s: float = CONNECT_S) -> str | None:
    """The HOST:PORT that takes a connection first, all tried at once: a cloud announces all, and some outlive it."""
    begun: list[socket.socket] = []
    with selectors.DefaultSelector() as selector:
        try:
            for host in hosts:
                with suppress(OSError):
                    begun.append(_connecting(host, port))
                    selector.register(begun[-1], selectors.EVENT_WRITE, host)
            until_s = monotonic() + wait_s
            while selector.get_map() and (left_s := until_s - monotonic()) > 0:
                for key, _ in sorted(selector.select(left_s), key=lambda ready: hosts.index(ready[0].data)):
                    end: Any = key.fileobj
                    if not end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        return f"{_bracketed(key.data)}:{port}"
                    selector.unregister(end)
        finally:
            for end in begun:
                end.close()
    log.info("the cloud announced at port %d of %s does not respond", port, ", ".join(hosts))
    return None


def _connecting(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        if (code := made.connect_ex(where)) not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except OSError:
        made.close()
        raise
    return made


def _found(address: str, hosts: tuple[str, ...], properties: dict[bytes, bytes | None]) -> FoundCloud:
    said = {key.decode(errors="replace"): (value or b"").decode(errors="replace") for key, value in properties.items()}
    prefix = "model."
    models = {key[len(prefix) :]: value for key, value in said.items() if key.startswith(prefix)}
    try:
        load: float | None = float(said.get("load", ""))
    except ValueError:
        load = None
    return FoundCloud(address, models, said.get("version", ""), said.get("tls") == "1", load, hosts)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
