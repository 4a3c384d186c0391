"""The usable clouds that zeroconf currently announces; they change while frames flow."""

from __future__ import annotations

import logging

from partway.edge.discovery.zeroconf import Search, serves
from partway.edge.transport.access.access import Access
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan

log = logging.getLogger("partway.edge")

MOST_NEIGHBOURS = 8
"""The most clouds monitored at once; each costs a thread and an occasional probe."""


class Neighbours:
    """A callable that gives the addresses of the clouds that announce this plan, and the access to each."""

    def __init__(self, search: Search, plan: Plan, access: Access) -> None:
        self._search, self._plan, self._access = search, plan, access
        self._warned: set[str] = set()

    def __call__(self) -> dict[str, Access]:
        """Up to MOST_NEIGHBOURS clouds that are usable now, in the order in which they were found."""
        usable: dict[str, Access] = {}
        for found in self._search.clouds():
            if len(usable) < MOST_NEIGHBOURS and serves(found, self._plan.model, self._plan.digest):
                try:
                    usable[found.address] = self._access.for_found(found.address, found.tls)
                except InputError as error:
                    self._warn_once(str(error))
        return usable

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            log.warning("%s", sentence)
