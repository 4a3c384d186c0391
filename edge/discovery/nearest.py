"""How near a cloud is: a few small probes, to rank several that were found."""

from __future__ import annotations

import logging
import math

from partway.edge.discovery.zeroconf import FoundCloud
from partway.edge.transport.access.access import OPEN, Access
from partway.errors import PartwayError

log = logging.getLogger("partway.edge")

PROBES = 3
PAYLOAD_BYTES = 16 << 10
"""About what a frame carries: a far or thin link tells, and it costs little."""


def round_trip_s(found: FoundCloud, timeout_s: float = 1.0, access: Access = OPEN) -> float:
    """Seconds that a small frame takes there and back, the best of a few; infinite where it does not answer."""
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
