"""The clouds that serve a plan: streams to the one in use, and to the next when it is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

from partway.edge.access import Access
from partway.edge.lookout import Lookout, Probed
from partway.edge.stream import FrameStream, OnLost, OnReply
from partway.edge.transport import CloudClient
from partway.partitioner.estimate import Link
from partway.partitioner.plan import Plan
from partway.proto.errors import LinkLost

log = logging.getLogger("partway.edge")

FRESH_S = 10.0
"""A cloud that was there so recently is tried without another look."""


class KnownClouds:
    """Obeys Clouds. ``client`` leads to the cloud in use; ``addresses`` are all, in order of preference.

    Nobody looks after them until ``watch``. ``on_link`` is told the link to a cloud that is used after a loss.
    """

    def __init__(self, client: CloudClient, addresses: Sequence[str], plan: Plan) -> None:
        self._first, self._client = client, client
        self._addresses, self._plan = list(dict.fromkeys([client.address, *addresses])), plan
        self._lookouts: dict[str, Lookout] = {}
        self.on_link: Callable[[Link], None] = lambda _: None
        self._opened = False
        self._lost_s: float | None = None

    def watch(self, link: Link | None, idle: Callable[[], bool], on_link: Callable[[Link], None]) -> None:
        """From now on look after all of them; ``link`` is the one to the cloud in use."""
        self.on_link = on_link
        for address in self._addresses:
            self._lookouts[address] = Lookout(address, self._plan.model, self._plan.digest, idle, self._first.access)
        if self._lost_s is None:
            self._lookouts[self._client.address].use(link)

    def open(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream | None:
        """See Clouds: the cloud in use at first, after a loss the first that was seen since."""
        if not self._opened:
            self._opened = True
            return self._client.open_stream(on_reply, on_lost)
        now_s = perf_counter()
        for lookout in self._lookouts.values():
            sighting = lookout.sighting
            if sighting is not None and now_s - sighting.seen_s < FRESH_S:
                lookout.use(sighting.link)
                first = self._first
                self._client = CloudClient(sighting.address, first.timeout_s, first.loop, first.access)
                self._lost_s = None
                self.on_link(sighting.link)
                log.warning("frames go to the cloud at %s (%s)", sighting.address, sighting.link)
                return self._client.open_stream(on_reply, on_lost)
        return None

    @property
    def access(self) -> Access:
        """How they are reached."""
        return self._first.access

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
        lookout = self._lookouts.get(self._client.address)
        while lookout is not None and lookout.probes:
            yield lookout.probes.popleft()

    def close(self) -> None:
        """Nobody looks any more. The first client is its owner's to close."""
        for lookout in self._lookouts.values():
            lookout.close()
        self._lookouts.clear()
        if self._client is not self._first:
            self._client.close_channel()
