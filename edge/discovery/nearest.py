"""Ranks the clouds that were found by a few small probes of each."""

from __future__ import annotations

import logging
import math

from partway.edge.discovery.zeroconf import FoundCloud
from partway.edge.transport.access.access import OPEN, Access
from partway.errors import PartwayError

log = logging.getLogger("partway.edge")

PROBES = 3
PAYLOAD_BYTES = 16 << 10
"""About the size of a frame: large enough to reveal a far or thin link, and cheap."""


def round_trip_s(found: FoundCloud, timeout_s: float = 1.0, access: Access = OPEN) -> float:
    """Seconds for a small frame both ways, the best of a few; infinite if the cloud does not answer."""
    from partway.edge.transport.client import CloudClient

    try:
        with CloudClient(found.address, timeout_s, access=access.for_found(found.address, found.tls)) as client:
            client.describe("")
            took_s = min(client.probe(PAYLOAD_BYTES) for _ in range(PROBES))
    except PartwayError as error:
        log.info("%s", error)
        return math.inf
    log.info("the cloud at %s takes %.1f ms", found.address, took_s * 1e3)
    return took_s
