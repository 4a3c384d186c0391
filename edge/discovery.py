"""Clouds on the local network that announce themselves by zeroconf (``_partway._tcp.local.``)."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from time import monotonic

log = logging.getLogger("partway.edge")

SERVICE_TYPE = "_partway._tcp.local."


@dataclass(frozen=True, slots=True)
class FoundCloud:
    """A cloud that announced itself: where, and which plans (name -> first half of the plan's digest) it serves."""

    address: str
    models: dict[str, str]


class Search:
    """Looks for clouds in the background from the moment it is made; ``result`` waits for what is left of the time."""

    def __init__(self, model: str, digest: str | None, wait_s: float = 1.0) -> None:
        self._model, self._digest = model, digest
        self._until_s = monotonic() + wait_s
        self._found: list[FoundCloud] = []
        self._ready = threading.Event()
        self._zeroconf: object = None
        self._starter = threading.Thread(target=self._start, name="search", daemon=True)
        self._starter.start()

    def _start(self) -> None:
        try:
            from zeroconf import ServiceBrowser, Zeroconf

            zeroconf = Zeroconf()
            self._zeroconf = zeroconf
            ServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[self._changed])
        except OSError as error:
            log.info("cannot look for clouds by zeroconf: %s", error)

    def _changed(self, zeroconf: object, service_type: str, name: str, state_change: object) -> None:
        from zeroconf import ServiceStateChange, Zeroconf

        if state_change is not ServiceStateChange.Added or not isinstance(zeroconf, Zeroconf):
            return
        info = zeroconf.get_service_info(service_type, name, timeout=500)
        if info is None or not info.parsed_scoped_addresses():
            return
        found = FoundCloud(f"{_bracketed(info.parsed_scoped_addresses()[0])}:{info.port}", _models(info.properties))
        if self._serves(found):
            self._found.append(found)
            self._ready.set()

    def _serves(self, found: FoundCloud) -> bool:
        theirs = found.models.get(self._model)
        return theirs is not None and (self._digest is None or self._digest.startswith(theirs))

    def result(self) -> FoundCloud | None:
        """The first cloud that serves the model with the same plan, None when the time is over."""
        self._ready.wait(max(0.0, self._until_s - monotonic()))
        threading.Thread(target=self._close, name="search-close", daemon=True).start()
        return self._found[0] if self._found else None

    def _close(self) -> None:
        from zeroconf import Zeroconf

        self._starter.join(5.0)
        if isinstance(self._zeroconf, Zeroconf):
            self._zeroconf.close()


def _models(properties: dict[bytes, bytes | None]) -> dict[str, str]:
    prefix = b"model."
    return {
        key[len(prefix) :].decode(errors="replace"): (value or b"").decode(errors="replace")
        for key, value in properties.items()
        if key.startswith(prefix)
    }


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
