"""Downloads stages, continuing from another cloud when one is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

from partway.edge.transport.client import CloudClient
from partway.errors import LinkLost

log = logging.getLogger("partway.edge")
T = TypeVar("T")


class Fetching:
    """Fetches stages from ``client``, and after its loss from ``others``, which serve the same plan."""

    def __init__(self, client: CloudClient, others: Iterator[CloudClient]) -> None:
        self._client, self._others = client, others

    def fetch(self, digest: str) -> bytes:
        """See CloudClient."""
        return self._by_any(lambda client: client.fetch(digest))

    def fetch_into(self, digest: str, file: BinaryIO, most_bytes: int) -> None:
        """See CloudClient; the next cloud continues where a lost one stopped."""
        self._by_any(lambda client: client.fetch_into(digest, file, most_bytes))

    def _by_any(self, fetch: Callable[[CloudClient], T]) -> T:
        while True:
            try:
                return fetch(self._client)
            except LinkLost as error:
                following = next(self._others, None)
                if following is None:
                    raise LinkLost(f"{error}; the model was not fetched yet, and no other cloud serves it") from None
                log.warning("%s; fetching the model from the one at %s", error, following.address)
                self._client = following
