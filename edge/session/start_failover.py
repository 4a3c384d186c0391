"""A cloud that is lost before frames flow: the next one takes its place, else the device goes on alone."""

from __future__ import annotations

import logging
from dataclasses import replace

from partway.edge.decision.constraints import may_stay
from partway.edge.options import Options
from partway.edge.session.startup import Opened, Reached
from partway.edge.session.wiring import named_clouds, neighbours_of
from partway.edge.transport.access import Access
from partway.edge.transport.address import parse_address
from partway.edge.transport.client import CloudClient
from partway.errors import LinkLost, PartwayError, Refused

log = logging.getLogger("partway.edge")


def elsewhere(opened: Opened, options: Options, tried: set[str], error: LinkLost) -> Opened:
    """What to start with now that the cloud is lost: ``reached`` is the next one, or None for the device alone.

    ``tried`` holds the addresses of all clouds that were tried, and grows. Raises LinkLost where the device may not or
    cannot answer alone.
    """
    if (reached := _next(opened, options, tried)) is not None:
        log.warning("%s; starting with the one at %s", error, reached.client.address)
        return replace(opened, reached=reached)
    if not opened.chain.whole or not may_stay(opened.chain.plan, options.constraints):
        raise LinkLost(f"{error}; there is no other cloud, and this device cannot answer alone")
    log.warning("%s; starting on the device alone", error)
    return replace(opened, reached=None)


def _next(opened: Opened, options: Options, tried: set[str]) -> Reached | None:
    """Of the clouds that were named, or else are near by, the next that was not tried and serves the plan."""
    if opened.reached is None:
        return None
    lost = opened.reached.client
    tried.add(lost.address)
    near = neighbours_of(opened, options)
    addresses: dict[str, Access] = {parse_address(address): lost.access for address in named_clouds(options)}
    addresses |= {} if near is None else dict(near())
    for address, access in addresses.items():
        if address not in tried:
            tried.add(address)
            client = CloudClient(address, lost.timeout_s, lost.loop, access)
            if (reached := _serving(client, opened)) is not None:
                return reached
    return None


def _serving(client: CloudClient, opened: Opened) -> Reached | None:
    """The cloud, if it is there and serves the plan; else a sentence is logged."""
    plan = opened.chain.plan
    try:
        described = client.describe(plan.model, plan.digest)
        if described.digest != plan.digest:
            raise Refused(f"the cloud at {client.address} has another version of {plan.model}")
    except PartwayError as error:
        log.warning("%s; it is not used", error)
        client.close_channel()
        return None
    return Reached(client, described, client.address)
