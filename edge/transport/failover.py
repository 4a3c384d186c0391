"""The clouds that serve a plan: streams to the one in use, and to the next when it is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Protocol

from partway.edge.transport.access.access import Access
from partway.edge.transport.client import CloudClient, Description
from partway.edge.transport.cloud_monitor import CloudMonitor, CloudStatus, Probed
from partway.edge.transport.interface import FrameStream, OnLost, OnReply
from partway.errors import LinkLost, PartwayError, Refused
from partway.partitioner.decide.estimate import Link
from partway.partitioner.plan.plan import Plan

log = logging.getLogger("partway.edge")

FRESH_S = 10.0
"""A cloud that was there so recently is tried without another look."""
NEARER = 0.7
"""A neighbour is moved to when it takes at most this share of what the cloud in use takes for SIZE_BYTES..."""
STAY_S = 5.0
"""... and not sooner than this after the last move."""
SIZE_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Serving:
    """A cloud that serves the plan, and what it says of it."""

    client: CloudClient
    described: Description


class LinkUse(Protocol):
    """Who sends frames over the link to the cloud in use."""

    def idle(self) -> bool:
        """Whether frames leave the link unused, so that a probe is in nobody's way."""

    def relinked(self, link: Link) -> None:
        """Frames go to another cloud from now on, over this link."""

    def reach(self) -> tuple[Link, float] | None:
        """The link as it is now, and how many seconds frames wait in the cloud in use; None where that is unknown."""


class KnownClouds:
    """Obeys Clouds. ``client`` leads to the cloud in use; ``addresses`` are all, in order of preference.

    Nobody looks after them until ``watch``, so that trial frames have the link for themselves. With ``neighbours``
    (addresses that are there now, and how each is reached) those are looked after as they come and go, and the nearest
    is used; the ``spare`` address only where there is no other.
    """

    def __init__(
        self,
        client: CloudClient,
        addresses: Sequence[str],
        plan: Plan,
        neighbours: Callable[[], Mapping[str, Access]] | None = None,
        spare: str | None = None,
    ) -> None:
        self._first, self._client = client, client
        self._addresses, self._plan = list(dict.fromkeys([client.address, *addresses])), plan
        self._neighbours, self._spare = neighbours, spare
        self._come: set[str] = set()
        self._gone: list[CloudMonitor] = []
        self._lookouts: dict[str, CloudMonitor] = {}
        self._used_s = perf_counter()
        self._use: LinkUse | None = None
        self._opened = False
        self._lost_s: float | None = None
        self._tried: set[str] = set()

    def another(self, error: LinkLost) -> Serving | None:
        """See Clouds: of those that were named, or else are near by, the next that was not tried before."""
        if self._lost_s is None:
            self.lost(error)
        self._tried.add(self._client.address)
        near = self._neighbours() if self._neighbours is not None else {}
        for address, access in (dict.fromkeys(self._addresses, self._first.access) | dict(near)).items():
            if address not in self._tried and (serving := self._described(address, access)) is not None:
                self._client, self._lost_s, self._used_s = serving.client, None, perf_counter()
                self._opened = False
                if address not in self._addresses:
                    self._addresses.append(address)
                return serving
        return None

    def _described(self, address: str, access: Access) -> Serving | None:
        """The cloud at this address, if it is there and serves the plan; else a sentence is logged."""
        self._tried.add(address)
        client = CloudClient(address, self._first.timeout_s, self._first.loop, access)
        try:
            described = client.describe(self._plan.model, self._plan.digest)
            if described.digest != self._plan.digest:
                raise Refused(f"the cloud at {address} has another version of {self._plan.model}")
        except PartwayError as error:
            log.warning("%s; it is not used", error)
            client.close_channel()
            return None
        return Serving(client, described)

    def watch(
        self,
        use: LinkUse,
        link: Link | None,
    ) -> None:
        """From now on look after all of them, in threads; ``link`` is the one to the cloud in use."""
        self._use = use
        for address in self._addresses:
            used = self._lost_s is None and address == self._client.address
            self._look_after(address, self._client.access if used else self._first.access, used, link)

    def _look_after(self, address: str, access: Access, used: bool = False, link: Link | None = None) -> None:
        assert self._use is not None
        model, digest = self._plan.model, self._plan.digest
        self._lookouts[address] = CloudMonitor(address, model, digest, self._use.idle, access, used, link)

    def _follow(self) -> None:
        """Look after neighbours that have come, and no longer after those that have gone and are not in use."""
        if self._neighbours is None or not self._lookouts:
            return
        there = self._neighbours()
        for address in there.keys() - self._lookouts.keys():
            self._look_after(address, there[address])
        self._come |= there.keys()
        for address in self._come - there.keys() - {self.address}:
            self._come.discard(address)
            self._gone.append(self._lookouts.pop(address))
            self._gone[-1].dismiss()

    def leave(self) -> LinkLost | None:
        """See Clouds: for a neighbour that is much nearer."""
        self._follow()
        if self._neighbours is None or perf_counter() - self._used_s < STAY_S:
            return None
        best, now = self._best(), None if self._use is None else self._use.reach()
        if best is None or best.address == self._spare or now is None:
            return None
        seconds = inf if self.address == self._spare else _seconds(*now)
        if _seconds(best.link, best.queue_s) > NEARER * seconds:
            return None
        return LinkLost(f"the cloud at {best.address} is nearer than the one at {self._client.address}")

    def _best(self) -> CloudStatus | None:
        """Of the clouds that were seen lately the nearest neighbour, of those that were named the first."""
        now_s = perf_counter()
        seen = [monitor.status for monitor in self._lookouts.values()]
        fresh = [status for status in seen if status is not None and now_s - status.seen_s < FRESH_S]
        if self._neighbours is None:
            return fresh[0] if fresh else None
        return min(fresh, key=lambda s: (s.address == self._spare, _seconds(s.link, s.queue_s)), default=None)

    def open(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream | None:
        """See Clouds: the cloud in use at first, after a loss the best that was seen since."""
        if not self._opened:
            self._opened = True
            return self._client.open_stream(on_reply, on_lost)
        self._follow()
        if (best := self._best()) is None:
            return None
        monitor, first = self._lookouts[best.address], self._first
        monitor.use(best.link)
        self._client = CloudClient(best.address, first.timeout_s, first.loop, monitor.access)
        self._lost_s, self._used_s = None, perf_counter()
        if self._use is not None:
            self._use.relinked(best.link)
        log.warning("frames go to the cloud at %s (%s)", best.address, best.link)
        return self._client.open_stream(on_reply, on_lost)

    @property
    def access(self) -> Access:
        """How the cloud in use is reached."""
        return self._client.access

    @property
    def address(self) -> str | None:
        """Of the cloud in use; None while there is none."""
        return self._client.address if self._lost_s is None else None

    def lost(self, error: LinkLost) -> None:
        """See Clouds."""
        self._lost_s = perf_counter()
        if self._client.address in self._lookouts:
            self._lookouts[self._client.address].lost()
        self._client.close_channel()

    def probes(self) -> Iterator[Probed]:
        """What was probed of the cloud in use since the last call."""
        monitor = self._lookouts.get(self._client.address)
        while monitor is not None and monitor.probes:
            yield monitor.probes.popleft()

    def close(self) -> None:
        """Nobody looks any more. The first client is its owner's to close."""
        self._gone += self._lookouts.values()
        self._lookouts.clear()
        for monitor in self._gone:
            monitor.dismiss()
        for monitor in self._gone:
            monitor.close()
        if self._client is not self._first:
            self._client.close_channel()


def _seconds(link: Link, queue_s: float) -> float:
    return link.transfer_s(SIZE_BYTES) + queue_s
