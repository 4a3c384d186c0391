"""The guard on lossy codecs: a sampled share of frames is sent once more, coded and exact, and the cloud compares.

From a thread and over a connection of its own, one at a time, so that frames are never in its way; a frame whose turn
it is while another is compared is passed over. A codec whose answers agree less often than its budget allows, and too
seldom for that to be chance, is withdrawn.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import comb
from typing import Any

import grpc

from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.in_flight import FrameGroup
from partway.edge.transport.access.access import OPEN, Access
from partway.partitioner.decide.candidates import candidate_name, lossless
from partway.partitioner.decide.estimate import Candidate
from partway.proto import messages as m

log = logging.getLogger("partway.edge")

EXACT = "zstd"
EXACT_PICTURE = "webp-lossless"
CHANCE = 1e-3
"""A codec goes when one that keeps its budget would do as badly only this often."""
REMEMBERED = 1000
"""Audits of one candidate that count; older ones are forgotten."""
PATIENCE_S = 30.0
WORSE = 2.0
"""A model that does not classify: so many times the calibrated relative error is too much."""
LEAST_AUDITS = 20


@dataclass(slots=True)
class Tally:
    """What audits of one candidate came to: samples compared and agreed, and relative errors, newest last."""

    samples: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    errors: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    classifies: bool = True

    @property
    def frames(self) -> int:
        """Samples that were compared."""
        return sum(frames for frames, _ in self.samples)

    @property
    def agreed(self) -> int:
        """Of them answered alike."""
        return sum(agreed for _, agreed in self.samples)

    def __str__(self) -> str:
        if self.classifies:
            return f"{self.agreed} of {self.frames} answers agree with those to exact values"
        return f"mean relative error {sum(self.errors) / len(self.errors):.2g} over {self.frames} frames"


def falls_short(agreed: int, frames: int, required: float) -> bool:
    """Whether so few of ``frames`` would agree less often than CHANCE, if the share ``required`` of all did.

    The lower tail of the binomial distribution.
    """
    if frames <= 0 or agreed >= required * frames:
        return False
    tail = sum(comb(frames, i) * (1 - required) ** i * required ** (frames - i) for i in range(frames - agreed))
    return 1 - tail < CHANCE


class Auditor:
    """Audits ``share`` (0 to 1) of the frames that went coded. ``required`` is the share of answers to be kept.

    ``address`` says where the cloud in use is, None without one; ``errors`` are calibrated relative errors. Where it
    does not ``withdraws``, because the codec was asked for, it only says what it found. ``access`` tells how the cloud
    in use is reached; it is asked for every audit, since another cloud may be in use by then.
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
        self._packer, self._share, self._required = encoder, share, required
        self._address, self._errors, self._withdraws, self._access = address, errors, withdraws, access
        self._random = random.Random()  # noqa: S311 - a sample, hides nothing
        self._work: queue.Queue[tuple[FrameGroup, str] | None] = queue.Queue(1)
        self._withdrawn: deque[tuple[Candidate, str]] = deque()
        self._gone: set[Candidate] = set()
        self._channel: tuple[tuple[str, Access], Any] | None = None
        self._said = ""
        self.tallies: dict[Candidate, Tally] = {}
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def offer(self, group: FrameGroup) -> None:
        """A group was sent: perhaps it is one to be audited. Takes no time."""
        candidate = group.candidate
        if candidate.codec is None or self._random.random() >= self._share or lossless(candidate.k, candidate.codec):
            return
        if self._work.empty():
            self._work.put_nowait((group, candidate.codec))

    def withdrawals(self) -> Iterator[tuple[Candidate, str]]:
        """Candidates that fell under the budget since the last call, each with a sentence."""
        while self._withdrawn:
            yield self._withdrawn.popleft()

    def close(self) -> None:
        """End the thread, after the audit that is under way."""
        if not self._thread.is_alive():
            return
        self._work.put(None)
        self._thread.join(PATIENCE_S)
        if self._channel is not None:
            self._channel[1].close()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            group, codec = work
            try:
                reply = self._ask(group, codec)
                if reply is not None:
                    self._said = ""
                    self._judge(group.candidate, reply)
            except Exception as error:  # a cloud without Audit, a key file that is away: the next one may work
                self._say(f"an audit failed ({_why(error)}); codecs in use are not checked")

    def _ask(self, group: FrameGroup, codec: str) -> Any:
        """The cloud's verdict; None without a cloud."""
        address = self._address()
        if address is None:
            return None
        encoder, k, frame_id = self._packer, group.candidate.k, str(group.first_id)
        pixels = encoder.sends_pixels(k, codec)
        live = group.live or ({} if pixels else encoder.tensors(group.samples))
        coded = encoder.frame(frame_id, k, codec, group.samples, live)
        exact = encoder.frame(frame_id, k, EXACT_PICTURE if pixels else EXACT, group.samples, live)
        access = self._access()
        made = self._dial(address, access).unary_unary(
            f"/{m.SPLIT_SERVICE}/Audit", m.AuditRequest.SerializeToString, m.AuditResponse.FromString
        )
        return made(m.AuditRequest(coded=coded, exact=exact), timeout=PATIENCE_S, metadata=access.metadata)

    def _dial(self, address: str, access: Access) -> Any:
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

    def _judge(self, candidate: Candidate, reply: Any) -> None:
        tally = self.tallies.setdefault(candidate, Tally())
        tally.samples.append((reply.frames, reply.agreed))
        tally.errors.append(reply.relative_error)
        tally.classifies = reply.classifies
        why = self._too_bad(candidate, tally)
        if why is None or candidate in self._gone:
            return
        self._gone.add(candidate)
        name = candidate_name(candidate, self._packer.plan)
        log.warning("%s %s: %s", name, "is withdrawn" if self._withdraws else "falls under its budget", why)
        if self._withdraws:
            self._withdrawn.append((candidate, why))

    def _too_bad(self, candidate: Candidate, tally: Tally) -> str | None:
        frames, agreed = tally.frames, tally.agreed
        if tally.classifies:
            if not falls_short(agreed, frames, self._required):
                return None
            return f"{agreed} of {frames} audited answers agree, the budget asks for {self._required * 100:.4g} %"
        calibrated = self._errors(candidate)
        mean = sum(tally.errors) / len(tally.errors)
        if calibrated is None or len(tally.errors) < LEAST_AUDITS or mean <= WORSE * calibrated:
            return None
        return f"its relative error is {mean:.2g} over {len(tally.errors)} audits, {calibrated:.2g} when calibrated"

    def _say(self, sentence: str) -> None:
        """Once, not for every frame."""
        if sentence != self._said:
            log.warning("%s", sentence)
        self._said = sentence


def _why(error: Exception) -> str:
    return str(error.details()) if isinstance(error, grpc.Call) else str(error) or type(error).__name__
