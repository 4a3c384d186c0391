"""Monitors one cloud from a separate thread and connection, so that it does not delay frames.

While the cloud is in use, it probes the link, but only when no frames use it. Otherwise it checks whether the cloud is
available and serves the same plan, and measures the link: at once, then with back-off and jitter.
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
"""First and longest pause between checks of an unavailable cloud; each is 1.5 times the last, ± JITTER."""
JITTER = 0.3
STANDBY_S = 3.0
TICK_S = 0.25
ANSWER_S = 1.0
PROBE_S = 0.03
"""A probe has the size that the link is expected to carry in this time."""
LEAST_BYTES, MOST_BYTES = 1_000, 1 << 18
STABLE_S = 5.0
"""A cloud lost sooner than this after its first use keeps its longer pauses between checks."""


@dataclass(frozen=True, slots=True)
class CloudStatus:
    """A cloud that served the plan at ``seen_s``, the link to it, and the seconds that frames would wait in it."""

    address: str
    link: Link
    queue_s: float
    seen_s: float


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe at ``at_s``: bytes, and seconds both ways without the cloud's own time."""

    size_bytes: int
    seconds: float
    queue_s: float
    at_s: float


class CloudMonitor:
    """Monitors the cloud at ``address`` for a plan (model, digest). ``idle`` tells whether the link is unused.

    With ``in_use`` frames already go to this cloud, over this ``link``.
    """

    def __init__(
        self,
        address: str,
        model: str,
        digest: str,
        idle: Callable[[], bool],
        access: Access = OPEN,
        in_use: bool = False,
        link: Link | None = None,
    ) -> None:
        self.address, self._model, self._digest, self._idle = address, model, digest, idle
        self.access = access
        self.status: CloudStatus | None = None
        self.probes: deque[Probed] = deque(maxlen=16)
        self.link = link if in_use else None
        self._in_use = in_use  # set before the thread starts: a check would delay the first frames
        self._pause_s = FIRST_S
        self._used_s = perf_counter() if in_use else float("-inf")
        self._last_warning = ""
        self._random = random.Random()  # noqa: S311 - spreads devices in time, protects nothing
        self._stop, self._wake = False, threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"cloud-monitor {address}", daemon=True)
        self._thread.start()

    def use(self, link: Link | None) -> None:
        """Frames go to this cloud from now on."""
        self._in_use, self.link, self._used_s = True, link, perf_counter()
        self.status = None
        self._wake.set()

    def lost(self) -> None:
        """Frames no longer go to this cloud: check whether it returns."""
        eager = perf_counter() - self._used_s > STABLE_S
        self._in_use, self.status = False, None
        self._pause_s = FIRST_S if eager else self._pause_s
        self._wake.set()

    def dismiss(self) -> None:
        """Stop monitoring, without waiting for a running check."""
        self._stop, self.status = True, None
        self._wake.set()

    def close(self) -> None:
        """Finish the running check, then end the thread."""
        self.dismiss()
        self._thread.join(2 * ANSWER_S)

    def _watch(self) -> None:
        while not self._stop:
            try:
                self._turn()
            except Exception as error:  # a missing key file, no file descriptor: the next check may work
                self.status = None
                self._warn_once(f"checking the cloud at {self.address} failed ({_brief(error)}); trying again")
                self._rest(MOST_S)

    def _turn(self) -> None:
        """One check, or for a cloud in use one probe if the link is unused, and the pause after it."""
        if self._in_use:
            self._rest(TICK_S)
            if self._in_use and not self._stop and self._idle():
                self._probe_idle()
                self._last_warning = ""
            return
        self._look()
        available = self.status is not None
        pause_s = STANDBY_S if available else self._pause_s * (1 + self._random.uniform(-JITTER, JITTER))
        self._pause_s = FIRST_S if available else min(self._pause_s * 1.5, MOST_S)
        self._rest(pause_s)

    def _rest(self, seconds: float) -> None:
        """Wait ``seconds``, or until another thread wakes this one."""
        self._wake.wait(seconds)
        self._wake.clear()

    def _look(self) -> None:
        """Check whether the cloud is available with the same plan. Sets ``status``."""
        with self._channel() as channel:
            try:
                request = m.DescribeRequest(model=self._model, known_digest=self._digest)  # plans are large, links thin
                described = self._call(channel, "Describe", request, m.DescribeResponse)
                if described.plan_digest != self._digest:
                    self._warn_once(
                        f"the cloud at {self.address} has another version of {self._model} now; it is not used"
                    )
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
                self._warn_permanent(error)
                self.status = None
                return
        self._last_warning = ""
        if not self._in_use:
            self.status = CloudStatus(self.address, link, queue_s, perf_counter())

    def _warn_permanent(self, error: Any) -> None:
        """Log a fault that waiting does not mend, once."""
        if error.code() is grpc.StatusCode.NOT_FOUND:
            self._warn_once(f"the cloud at {self.address} does not serve {self._model} any more; it is not used")
        elif error.code() is grpc.StatusCode.UNAUTHENTICATED:
            self._warn_once(f"the cloud at {self.address} refused: {error.details()}; it is not used")
        elif fault := self.access.tls_fault(self.address):
            self._warn_once(f"no TLS connection to the cloud at {self.address}: {fault}; it is not used")

    def _warn_once(self, sentence: str) -> None:
        """Log a warning unless it repeats the last one."""
        if sentence != self._last_warning:
            log.warning("%s", sentence)
        self._last_warning = sentence

    def _probe_idle(self) -> None:
        """Send a small and a larger probe. A cloud that does not answer counts as a very slow link."""
        bandwidth_bps = self.link.bandwidth_bps if self.link is not None else 1e6
        size = int(min(max(bandwidth_bps / 8 * PROBE_S, LEAST_BYTES), MOST_BYTES))
        try:
            with self._channel() as channel:
                self._probe(channel, 16)  # opens the connection
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
        unary_call = channel.unary_unary(
            f"/{m.SPLIT_SERVICE}/{method}", type(request).SerializeToString, reply.FromString
        )
        return unary_call(request, timeout=ANSWER_S, metadata=self.access.metadata)


def _brief(error: Exception) -> str:
    return str(error) or type(error).__name__
