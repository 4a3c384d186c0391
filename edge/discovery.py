"""Clouds on the local network that announce themselves by zeroconf (``_partway._tcp.local.``)."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any

log = logging.getLogger("partway.edge")

SERVICE_TYPE = "_partway._tcp.local."
CONNECT_S = 0.3


@dataclass(frozen=True, slots=True)
class FoundCloud:
    """A cloud that announced itself: where, and which plans (name -> first half of the plan's digest) it serves."""

    address: str
    models: dict[str, str]


class Search:
    """Looks for clouds in the background from the moment it is made; ``result`` waits for what is left of the time."""

    def __init__(self, wait_s: float = 1.0) -> None:
        self._until_s = monotonic() + wait_s
        self._found: list[FoundCloud] = []
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._zeroconf: Any = None
        self._starter = threading.Thread(target=self._start, name="search", daemon=True)
        self._starter.start()

    def _start(self) -> None:
        try:
            from zeroconf import ServiceBrowser, Zeroconf

            zeroconf = Zeroconf()
            self._zeroconf = zeroconf
            ServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[self._changed])
        except (OSError, RuntimeError) as error:  # RuntimeError: no network interface at all
            log.info("cannot look for clouds by zeroconf: %s", error)

    def _changed(self, zeroconf: Any, service_type: str, name: str, state_change: object) -> None:
        from zeroconf import Error, ServiceStateChange

        if state_change is not ServiceStateChange.Added:
            return
        try:
            info = zeroconf.get_service_info(service_type, name, timeout=500)
        except (Error, RuntimeError, TimeoutError):
            return  # the search has ended meanwhile
        address = reachable(info.parsed_scoped_addresses(), info.port) if info is not None and info.port else None
        if info is None or address is None:
            return
        self.heard(FoundCloud(address, _models(info.properties)))

    def heard(self, found: FoundCloud) -> None:
        """Another cloud."""
        with self._news:
            self._found.append(found)
            self._news.notify()

    def result(self, model: str, digest: str) -> FoundCloud | None:
        """The first cloud that serves the model with the same plan, None when the time is over."""

        def matching() -> FoundCloud | None:
            return next((found for found in self._found if _serves(found, model, digest)), None)

        with self._news:
            found = self._news.wait_for(matching, max(0.0, self._until_s - monotonic()))
        self.close()
        return found

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


def _serves(found: FoundCloud, model: str, digest: str) -> bool:
    theirs = found.models.get(model)
    return bool(theirs) and digest.startswith(str(theirs))


def reachable(hosts: Sequence[str], port: int) -> str | None:
    """The first HOST:PORT that takes a connection: a cloud announces all its addresses, and some outlive it."""
    for host in hosts:
        try:
            socket.create_connection((host, port), CONNECT_S).close()
        except OSError as error:
            log.info("the cloud announced at %s:%d does not respond: %s", host, port, error)
        else:
            return f"{_bracketed(host)}:{port}"
    return None


def _models(properties: dict[bytes, bytes | None]) -> dict[str, str]:
    prefix = b"model."
    return {
        key[len(prefix) :].decode(errors="replace"): (value or b"").decode(errors="replace")
        for key, value in properties.items()
        if key.startswith(prefix)
    }


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
