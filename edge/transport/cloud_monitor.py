"""Keeps an eye on one cloud from a thread and over a connection of its own, so that frames are never in its way.

While the cloud is in use it probes the link, but only when no frames do; while it is not, it looks whether it is there,
serves the very plan, and what the link to it is like: at once, then with back-off and jitter.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import grpc

from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.link_probe import probe_link
from partway.partitioner.decide.estimate import Link
from partway.proto import messages as m

log = logging.getLogger("partway.edge")

FIRST_S, MOST_S = 0.1, 1.2
"""Pauses between looks at a cloud that is away; each half as long again as the one before, and ± JITTER."""
JITTER = 0.3
STANDBY_S = 3.0
TICK_S = 0.25
ANSWER_S = 1.0
PROBE_S = 0.03
"""A probe is as large as the link is thought to carry in this time."""
LEAST_BYTES, MOST_BYTES = 1_000, 1 << 18
LIVED_S = 5.0
"""A cloud that was lost again sooner than this is looked for less eagerly."""


@dataclass(frozen=True, slots=True)
class CloudStatus:
    """A cloud that serves the plan was there at ``seen_s``, over this link; frames would wait ``queue_s`` in it."""

    address: str
    link: Link
    queue_s: float
    seen_s: float


@dataclass(frozen=True, slots=True)
class Probed:
    """Bytes there and back took so many seconds, the cloud's own taken off, at ``at_s``."""

    size_bytes: int
    seconds: float
    queue_s: float
    at_s: float


class CloudMonitor:
    """Looks at ``address`` for a plan (model, digest). ``idle`` says whether frames leave the link unused.

    ``used`` says that frames go there already, over this ``link``.
    """

    def __init__(
        self,
        address: str,
        model: str,
        digest: str,
        idle: Callable[[], bool],
        access: Access = OPEN,
        used: bool = False,
        link: Link | None = None,
    ) -> None:
        self.address, self._model, self._digest, self._idle = address, model, digest, idle
        self.access = access
        self.status: CloudStatus | None = None
        self.probes: deque[Probed] = deque(maxlen=16)
        self.link = link if used else None
        self._in_use = used  # from the first moment: a look would be in the way of the first frames
        self._pause_s = FIRST_S
        self._used_s = perf_counter() if used else float("-inf")
        self._said = ""
        self._random = random.Random()  # noqa: S311 - spreads devices, hides nothing
        self._stop, self._wake = False, threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"lookout {address}", daemon=True)
        self._thread.start()

    def use(self, link: Link | None) -> None:
        """Frames go there from now on."""
        self._in_use, self.link, self._used_s = True, link, perf_counter()
        self.status = None
        self._wake.set()

    def lost(self) -> None:
        """Frames do not go there any more: see whether it comes back."""
        eager = perf_counter() - self._used_s > LIVED_S
        self._in_use, self.status = False, None
        self._pause_s = FIRST_S if eager else self._pause_s
        self._wake.set()

    def dismiss(self) -> None:
        """Look no more; does not wait until the look that is under way has ended."""
        self._stop, self.status = True, None
        self._wake.set()

    def close(self) -> None:
        """End the thread, after the look that is under way."""
        self.dismiss()
        self._thread.join(2 * ANSWER_S)

    def _watch(self) -> None:
        while not self._stop:
            try:
                self._turn()
            except Exception as error:  # a key file that is away, no file descriptor: it may be back the next time
                self.status = None
                self._say(f"looking at the cloud at {self.address} failed ({_brief(error)}); trying again")
                self._rest(MOST_S)

    def _turn(self) -> None:
        """One look, or one probe where frames leave the link unused, and the pause that goes with it."""
        if self._in_use:
            self._rest(TICK_S)
            if self._in_use and not self._stop and self._idle():
                self._probe_idle()
                self._said = ""
            return
        self._look()
        there = self.status is not None
        pause_s = STANDBY_S if there else self._pause_s * (1 + self._random.uniform(-JITTER, JITTER))
        self._pause_s = FIRST_S if there else min(self._pause_s * 1.5, MOST_S)
        self._rest(pause_s)

    def _rest(self, seconds: float) -> None:
        """Wait until somebody has news, or the time is over."""
        self._wake.wait(seconds)
        self._wake.clear()

    def _look(self) -> None:
        """Is it there, with the same plan? Sets ``sighting``."""
        with self._channel() as channel:
            try:
                asked = m.DescribeRequest(model=self._model, known_digest=self._digest)  # plans are large, links thin
                described = self._call(channel, "Describe", asked, m.DescribeResponse)
                if described.plan_digest != self._digest:
                    self._say(f"the cloud at {self.address} has another version of {self._model} now; it is not used")
                    self.status = None
                    return
                queue_s = 0.0

                def probe(size: int) -> float:
                    nonlocal queue_s
                    probed = self._probe(channel, size)
                    queue_s = probed.queue_s
                    return probed.seconds

                link = probe_link(probe, 0.1)
            except grpc.RpcError as error:
                self._say_why(error)
                self.status = None
                return
        self._said = ""
        if not self._in_use:
            self.status = CloudStatus(self.address, link, queue_s, perf_counter())

    def _say_why(self, error: Any) -> None:
        """What waiting will not mend, once."""
        if error.code() is grpc.StatusCode.NOT_FOUND:
            self._say(f"the cloud at {self.address} does not serve {self._model} any more; it is not used")
        elif error.code() is grpc.StatusCode.UNAUTHENTICATED:
            self._say(f"the cloud at {self.address} refused: {error.details()}; it is not used")
        elif fault := self.access.tls_fault(self.address):
            self._say(f"no TLS connection to the cloud at {self.address}: {fault}; it is not used")

    def _say(self, sentence: str) -> None:
        """Once, not at every look."""
        if sentence != self._said:
            log.warning("%s", sentence)
        self._said = sentence

    def _probe_idle(self) -> None:
        """A small one and one that the link takes a moment for; a cloud that does not answer says nothing."""
        bandwidth_bps = self.link.bandwidth_bps if self.link is not None else 1e6
        size = int(min(max(bandwidth_bps / 8 * PROBE_S, LEAST_BYTES), MOST_BYTES))
        try:
            with self._channel() as channel:
                self._probe(channel, 16)  # connects
                small, large = self._probe(channel, 16), self._probe(channel, size)
            self.probes.extend((small, large))
            self.link = Link(size * 8 / max(large.seconds - small.seconds, 0.05 * large.seconds), small.seconds)
        except grpc.RpcError:
            self.link = Link(size * 8 / ANSWER_S, ANSWER_S)
            self.probes.append(Probed(size, ANSWER_S, 0.0, perf_counter()))

    def _probe(self, channel: Any, size: int) -> Probed:
        begun_s = perf_counter()
        reply = self._call(channel, "Probe", m.ProbeRequest(payload=bytes(size)), m.ProbeResponse)
        now_s = perf_counter()
        return Probed(size, max(now_s - begun_s - float(reply.server_s), 1e-6), float(reply.queue_s), now_s)

    def _channel(self) -> Any:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)]
        return self.access.channel(self.address, options, grpc)

    def _call(self, channel: Any, method: str, request: Any, reply: Any) -> Any:
        made = channel.unary_unary(f"/{m.SPLIT_SERVICE}/{method}", type(request).SerializeToString, reply.FromString)
        return made(request, timeout=ANSWER_S, metadata=self.access.metadata)


def _brief(error: Exception) -> str:
    return str(error) or type(error).__name__
