"""Audits lossy codecs in production: the device sends some frames again, coded and exact, and the cloud compares them.

A separate thread and connection handle one audit at a time, so audits do not delay frames. Frames that arrive meanwhile
are not audited. A codec whose answers agree significantly less often than its budget allows is withdrawn.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil, comb
from typing import Any

import grpc

from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.in_flight import FrameGroup
from partway.edge.transport.access.access import OPEN, Access
from partway.partitioner.decide.candidates import candidate_name, lossless
from partway.partitioner.decide.estimate import Candidate
from partway.proto import messages as m
from partway.tasks.registry import UNKNOWN

log = logging.getLogger("partway.edge")

EXACT = "zstd"
EXACT_PICTURE = "webp-lossless"
CHANCE = 1e-3
"""A codec is withdrawn when a codec within its budget would agree this rarely with at most this probability."""
REMEMBERED = 1000
"""How many of the latest audits of one candidate count."""
TIMEOUT_S = 30.0
MOST_ERROR_RATIO = 2.0
"""Tensors without a meaning: a mean relative error above this multiple of the calibrated error is too large."""
LEAST_AUDITS = 20
ROUNDING = 1e-9


@dataclass(slots=True)
class Tally:
    """Audit results of one candidate, newest last: (frames compared, agreement, weight) and relative errors.

    ``agreement / weight`` is a mean over the things that the answers hold, for example boxes, 0 to 1. Without
    ``classifies`` the cloud compares no answers, only outputs.
    """

    samples: deque[tuple[int, float, float]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    errors: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    classifies: bool = True

    @property
    def frames(self) -> int:
        """How many samples were compared."""
        return sum(frames for frames, _, _ in self.samples)

    @property
    def agreed(self) -> float:
        """How many compared samples agree: of a classifier the equal answers, else frames times mean agreement."""
        weight = sum(weight for _, _, weight in self.samples)
        return self.frames * sum(agreement for _, agreement, _ in self.samples) / weight if weight else 0.0

    def __str__(self) -> str:
        if self.classifies and not self.frames:
            return "no audited frame had an answer to compare"
        if self.classifies:
            return f"{round(self.agreed, 1):g} of {self.frames} answers agree with those to exact values"
        return f"mean relative error {sum(self.errors) / len(self.errors):.2g} over {self.frames} frames"


def falls_short(agreed: float, frames: int, required: float) -> bool:
    """Whether ``agreed`` or fewer of ``frames`` have a probability below CHANCE if the share ``required`` agrees.

    The probability is the lower tail of the binomial distribution. Agreements between 0 and 1 spread less than equal
    and unequal answers of the same mean; their sum is rounded up.
    """
    if frames <= 0 or agreed >= required * frames:
        return False
    changed = frames - ceil(agreed - ROUNDING)
    tail = sum(comb(frames, i) * (1 - required) ** i * required ** (frames - i) for i in range(changed))
    return 1 - tail < CHANCE


class Auditor:
    """Audits ``share`` (0 to 1) of the frames sent with a lossy codec. ``required``: which share of answers must agree.

    ``address`` gives the address of the cloud in use, or None; ``errors`` gives calibrated relative errors. With
    ``withdraws`` false, because the user requested the codec, the auditor only logs warnings. Each audit calls
    ``access`` again, since the cloud in use may have changed.
    """

    def __init__(
        self,
        encoder: Encoder,
        share: float,
        required: float,
        address: Callable[[], str | None],
        errors: Callable[[Candidate], float | None] = lambda _: None,
        withdraws: bool = True,
        access: Callable[[], Access] = lambda: OPEN,
    ) -> None:
        self._encoder, self._share, self._required = encoder, share, required
        self._address, self._errors, self._withdraws, self._access = address, errors, withdraws, access
        self._has_meaning = str(encoder.plan.output.get("kind") or UNKNOWN) != UNKNOWN
        self._random = random.Random()  # noqa: S311 - only picks samples, protects nothing
        self._work: queue.Queue[tuple[FrameGroup, str] | None] = queue.Queue(1)
        self._withdrawn: deque[tuple[Candidate, str]] = deque()
        self._over_budget: set[Candidate] = set()
        self._channel: tuple[tuple[str, Access], Any] | None = None
        self._last_warning = ""
        self.tallies: dict[Candidate, Tally] = {}
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def offer(self, group: FrameGroup) -> None:
        """Audit this sent group if it is sampled and no audit is running. Does not block."""
        candidate = group.candidate
        if candidate.codec is None or self._random.random() >= self._share or lossless(candidate.k, candidate.codec):
            return
        if self._work.empty():
            self._work.put_nowait((group, candidate.codec))

    def withdrawals(self) -> Iterator[tuple[Candidate, str]]:
        """Candidates withdrawn since the last call, each with the reason."""
        while self._withdrawn:
            yield self._withdrawn.popleft()

    def close(self) -> None:
        """Finish the running audit, then end the thread."""
        if not self._thread.is_alive():
            return
        self._work.put(None)
        self._thread.join(TIMEOUT_S)
        if self._channel is not None:
            self._channel[1].close()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            group, codec = work
            try:
                reply = self._compare(group, codec)
                if reply is not None:
                    self._last_warning = ""
                    self._record(group.candidate, reply)
            except Exception as error:  # a cloud without Audit, or a missing key file: the next audit may work
                self._warn_once(f"an audit failed ({_error_text(error)}); codecs in use are not checked")

    def _compare(self, group: FrameGroup, codec: str) -> Any:
        """The cloud's comparison; None without a cloud."""
        address = self._address()
        if address is None:
            return None
        encoder, k, frame_id = self._encoder, group.candidate.k, str(group.first_id)
        pixels = encoder.sends_pixels(k, codec)
        live = group.live or ({} if pixels else encoder.tensors(group.samples))
        coded = encoder.frame(frame_id, k, codec, group.samples, live)
        exact = encoder.frame(frame_id, k, EXACT_PICTURE if pixels else EXACT, group.samples, live)
        access = self._access()
        audit_call = self._open_channel(address, access).unary_unary(
            f"/{m.SPLIT_SERVICE}/Audit", m.AuditRequest.SerializeToString, m.AuditResponse.FromString
        )
        return audit_call(m.AuditRequest(coded=coded, exact=exact), timeout=TIMEOUT_S, metadata=access.metadata)

    def _open_channel(self, address: str, access: Access) -> Any:
        if self._channel is None or self._channel[0] != (address, access):
            if self._channel is not None:
                self._channel[1].close()
                self._channel = None
            options = [
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_http_proxy", 0),
                ("grpc.max_send_message_length", -1),
            ]
            self._channel = (address, access), access.channel(address, options, grpc)
        return self._channel[1]

    def _record(self, candidate: Candidate, reply: Any) -> None:
        tally = self.tallies.setdefault(candidate, Tally())
        older = not reply.weight  # a cloud that counts equal classes only
        tally.samples.append(
            (reply.frames, *((reply.agreed, reply.frames) if older else (reply.agreement, reply.weight)))
        )
        tally.errors.append(reply.relative_error)
        tally.classifies = reply.classifies
        why = self._shortfall(candidate, tally)
        if why is None or candidate in self._over_budget:
            return
        self._over_budget.add(candidate)
        name = candidate_name(candidate, self._encoder.plan)
        log.warning("%s %s: %s", name, "is withdrawn" if self._withdraws else "falls under its budget", why)
        if self._withdraws:
            self._withdrawn.append((candidate, why))

    def _shortfall(self, candidate: Candidate, tally: Tally) -> str | None:
        frames, agreed = tally.frames, tally.agreed
        if tally.classifies and falls_short(agreed, frames, self._required):
            asked = f"the budget asks for {self._required * 100:.4g} %"
            return f"{round(agreed, 1):g} of {frames} audited answers agree, {asked}"
        if tally.classifies and self._has_meaning:
            return None
        calibrated = self._errors(candidate)
        mean = sum(tally.errors) / len(tally.errors)
        if calibrated is None or len(tally.errors) < LEAST_AUDITS or mean <= MOST_ERROR_RATIO * calibrated:
            return None
        return f"its relative error is {mean:.2g} over {len(tally.errors)} audits, {calibrated:.2g} when calibrated"

    def _warn_once(self, sentence: str) -> None:
        """Log a warning unless it repeats the last one."""
        if sentence != self._last_warning:
            log.warning("%s", sentence)
        self._last_warning = sentence


def _error_text(error: Exception) -> str:
    return str(error.details()) if isinstance(error, grpc.Call) else str(error) or type(error).__name__
