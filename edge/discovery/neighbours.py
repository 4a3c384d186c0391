"""The clouds that zeroconf knows of now, as far as they may be used: they come and go while frames flow."""

from __future__ import annotations

import logging

from partway.edge.discovery.zeroconf import Search, serves
from partway.edge.transport.access.access import Access
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan

log = logging.getLogger("partway.edge")

MOST = 8
"""So many are looked after at once; each costs a thread and a probe now and then."""


class Neighbours:
    """Call it for the addresses of the clouds that announce this very plan, and how each is reached."""

    def __init__(self, search: Search, plan: Plan, access: Access) -> None:
        self._search, self._plan, self._access = search, plan, access
        self._said: set[str] = set()

    def __call__(self) -> dict[str, Access]:
        """Those that are there now, in the order they were heard of, MOST of them."""
        there: dict[str, Access] = {}
        for found in self._search.clouds():
            if len(there) < MOST and serves(found, self._plan.model, self._plan.digest):
                try:
                    there[found.address] = self._access.for_found(found.address, found.tls)
                except InputError as error:
                    self._say(str(error))
        return there

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)
