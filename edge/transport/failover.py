"""Opens streams to the cloud in use, and to the next one that serves the plan when it is lost."""

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
"""A cloud seen this recently is used without another check."""
NEARER = 0.7
"""Frames move to a neighbour that takes at most this share of the current cloud's time for SIZE_BYTES..."""
STAY_S = 5.0
"""... but not sooner than this after the last move."""
SIZE_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Serving:
    """A client of a cloud that serves the plan, and the cloud's description of it."""

    client: CloudClient
    described: Description


class LinkUse(Protocol):
    """The sender of frames over the link to the cloud in use."""

    def idle(self) -> bool:
        """Whether frames leave the link unused, so that a probe delays nothing."""

    def relinked(self, link: Link) -> None:
        """From now on frames go to another cloud, over this link."""

    def link_and_queue(self) -> tuple[Link, float] | None:
        """The current link, and the seconds that frames wait in the cloud in use; None if unknown."""


class KnownClouds:
    """Implements Clouds. ``client`` connects to the cloud in use; ``addresses`` are all, in order of preference.

    Monitoring starts with ``watch``, so that trial frames have the link to themselves. ``neighbours`` gives the clouds
    announced now and the access to each: they are monitored, and the nearest is used. The ``spare`` address is used
    only if no other cloud is available.
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
        self._announced: set[str] = set()
        self._dismissed: list[CloudMonitor] = []
        self._monitors: dict[str, CloudMonitor] = {}
        self._used_s = perf_counter()
        self._use: LinkUse | None = None
        self._opened = False
        self._lost_s: float | None = None
        self._tried: set[str] = set()

    def next_cloud(self, error: LinkLost) -> Serving | None:
        """See Clouds: the next cloud not tried before, first of the given addresses, then of the neighbours."""
        if self._lost_s is None:
            self.lost(error)
        self._tried.add(self._client.address)
        neighbours = self._neighbours() if self._neighbours is not None else {}
        for address, access in (dict.fromkeys(self._addresses, self._first.access) | dict(neighbours)).items():
            if address not in self._tried and (serving := self._try_cloud(address, access)) is not None:
                self._client, self._lost_s, self._used_s = serving.client, None, perf_counter()
                self._opened = False
                if address not in self._addresses:
                    self._addresses.append(address)
                return serving
        return None

    def _try_cloud(self, address: str, access: Access) -> Serving | None:
        """The cloud at this address, if it answers and serves the plan; else logs a warning."""
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
        """Start monitoring all clouds, each in a thread; ``link`` leads to the cloud in use."""
        self._use = use
        for address in self._addresses:
            used = self._lost_s is None and address == self._client.address
            self._start_monitor(address, self._client.access if used else self._first.access, used, link)

    def _start_monitor(self, address: str, access: Access, used: bool = False, link: Link | None = None) -> None:
        assert self._use is not None
        model, digest = self._plan.model, self._plan.digest
        self._monitors[address] = CloudMonitor(address, model, digest, self._use.idle, access, used, link)

    def _follow_neighbours(self) -> None:
        """Start monitoring new neighbours; stop for neighbours that disappeared and are not in use."""
        if self._neighbours is None or not self._monitors:
            return
        present = self._neighbours()
        for address in present.keys() - self._monitors.keys():
            self._start_monitor(address, present[address])
        self._announced |= present.keys()
        for address in self._announced - present.keys() - {self.address}:
            self._announced.discard(address)
            self._dismissed.append(self._monitors.pop(address))
            self._dismissed[-1].dismiss()

    def reason_to_leave(self) -> LinkLost | None:
        """See Clouds: a neighbour is much nearer."""
        self._follow_neighbours()
        if self._neighbours is None or perf_counter() - self._used_s < STAY_S:
            return None
        best, in_use = self._best(), None if self._use is None else self._use.link_and_queue()
        if best is None or best.address == self._spare or in_use is None:
            return None
        seconds = inf if self.address == self._spare else _seconds(*in_use)
        if _seconds(best.link, best.queue_s) > NEARER * seconds:
            return None
        return LinkLost(f"the cloud at {best.address} is nearer than the one at {self._client.address}")

    def _best(self) -> CloudStatus | None:
        """Of the clouds seen recently, the nearest if neighbours are used, else the first in order of preference."""
        now_s = perf_counter()
        seen = [monitor.status for monitor in self._monitors.values()]
        fresh = [status for status in seen if status is not None and now_s - status.seen_s < FRESH_S]
        if self._neighbours is None:
            return fresh[0] if fresh else None
        return min(fresh, key=lambda s: (s.address == self._spare, _seconds(s.link, s.queue_s)), default=None)

    def open(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream | None:
        """See Clouds: first the cloud of ``client``, after a loss the best cloud seen since."""
        if not self._opened:
            self._opened = True
            return self._client.open_stream(on_reply, on_lost)
        self._follow_neighbours()
        if (best := self._best()) is None:
            return None
        monitor, first = self._monitors[best.address], self._first
        monitor.use(best.link)
        self._client = CloudClient(best.address, first.timeout_s, first.loop, monitor.access)
        self._lost_s, self._used_s = None, perf_counter()
        if self._use is not None:
            self._use.relinked(best.link)
        log.warning("frames go to the cloud at %s (%s)", best.address, best.link)
        return self._client.open_stream(on_reply, on_lost)

    @property
    def access(self) -> Access:
        """The access to the cloud in use."""
        return self._client.access

    @property
    def address(self) -> str | None:
        """The address of the cloud in use; None while there is none."""
        return self._client.address if self._lost_s is None else None

    def lost(self, error: LinkLost) -> None:
        """See Clouds."""
        self._lost_s = perf_counter()
        if self._client.address in self._monitors:
            self._monitors[self._client.address].lost()
        self._client.close_channel()

    def probes(self) -> Iterator[Probed]:
        """Probes of the cloud in use since the last call."""
        monitor = self._monitors.get(self._client.address)
        while monitor is not None and monitor.probes:
            yield monitor.probes.popleft()

    def close(self) -> None:
        """Stop monitoring and close the channels opened here. The owner of the first client closes that one."""
        self._dismissed += self._monitors.values()
        self._monitors.clear()
        for monitor in self._dismissed:
            monitor.dismiss()
        for monitor in self._dismissed:
            monitor.close()
        if self._client is not self._first:
            self._client.close_channel()


def _seconds(link: Link, queue_s: float) -> float:
    return link.transfer_s(SIZE_BYTES) + queue_s
