"""Frames in flight: what the device needs to finish each itself, and when it stops waiting for the cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

import numpy as np

from partway.edge.sources.files import Sample
from partway.errors import LinkLost
from partway.partitioner.decide.estimate import Candidate
from partway.proto.frame import Durations

Array = np.ndarray[Any, Any]
GRACE_S = 0.25
"""Without a deadline: how long after a loss of the link the device, if it can, answers the first frame in flight."""
MARGIN_S = 0.03
"""The part of the grace reserved for noticing the loss and switching over."""
SHARE = 0.1
"""Allowance for the spread of the finishing time, as a share of it."""


@dataclass(slots=True)
class FrameGroup:
    """Frames that travel together, with all that the device needs to finish them. Seconds, on this machine's clock.

    ``begun_s`` is when the first frame arrived, ``arrived_s`` when each did, ``started_s`` when processing began.
    ``tensors_s`` is how long making tensors took. The device finishes unanswered frames at ``give_up_s``; after
    ``deadline_s`` they count as missed.
    """

    first_id: int
    samples: list[Sample]
    candidate: Candidate
    live: Mapping[str, Array]
    begun_s: float
    prefix_s: float = 0.0
    encode_s: float = 0.0
    sent_s: float = 0.0
    bytes_sent: int = 0
    give_up_s: float = inf
    deadline_s: float = inf
    resent: bool = False
    arrived_s: Sequence[float] = ()
    started_s: float = 0.0
    tensors_s: float = 0.0


class InFlight:
    """The groups sent and not yet answered, oldest first, and their bytes."""

    def __init__(self) -> None:
        self._groups: dict[int, FrameGroup] = {}
        self._due_s: float | None = inf
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[FrameGroup]:
        return iter(list(self._groups.values()))

    def add(self, group: FrameGroup) -> None:
        """Add a group that is being sent."""
        self._groups[group.first_id] = group
        self.bytes += group.bytes_sent
        if self._due_s is not None and group.give_up_s < self._due_s:
            self._due_s = group.give_up_s

    def pop(self, first_id: int) -> FrameGroup | None:
        """Remove a group that is answered or given up; None if it is not in flight."""
        group = self._groups.pop(first_id, None)
        if group is not None:
            self.bytes -= group.bytes_sent
            if group.give_up_s == self._due_s:
                self._due_s = None
        return group

    def delay(self, seconds: float) -> None:
        """Wait ``seconds`` longer for the groups without a deadline."""
        for group in self._groups.values():
            if group.deadline_s == inf:
                group.give_up_s += seconds
        self._due_s = None

    def due_s(self) -> float:
        """When the next group is given up; inf without any."""
        if self._due_s is None:
            self._due_s = min([group.give_up_s for group in self._groups.values()], default=inf)
        return self._due_s


def give_up_s(sent_s: float, deadline_s: float, expected_s: float, finish_s: float | None) -> float:
    """When the device finishes a frame sent at ``sent_s`` that needs its answer by ``deadline_s`` (inf: no deadline).

    ``expected_s`` is the expected time to the answer, ``finish_s`` the time the device needs to finish the frame, None
    if it cannot. With a deadline: the latest moment that still meets it, but not before the expected answer, unless
    the answer is expected after the deadline. If the device cannot meet the deadline, at the deadline. Without one:
    after twice the expected time, or as late as GRACE_S allows, whichever is later.
    """
    if finish_s is None:
        return deadline_s
    if deadline_s == inf:
        return sent_s + max(2 * expected_s + MARGIN_S, GRACE_S - MARGIN_S - finish_s * (1 + SHARE))
    latest_s = deadline_s - finish_s * (1 + SHARE) - min(MARGIN_S, 0.1 * (deadline_s - sent_s))
    if latest_s >= sent_s + expected_s or (sent_s + expected_s > deadline_s and latest_s >= sent_s):
        return latest_s
    return deadline_s


class Clouds(Protocol):
    """Opens streams: the first one, and others after a loss."""

    def open(self, on_reply: Any, on_lost: Any) -> Any:
        """A stream to a cloud that is available now, else None. Must be cheap: it is called before every frame."""

    def lost(self, error: LinkLost) -> None:
        """The cloud of the last stream is lost; look for it and for others."""

    def next_cloud(self, error: LinkLost) -> Any:
        """Before frames flow: leave an unusable cloud for the next one that serves the plan (``Serving``).

        None if there is no other.
        """

    def reason_to_leave(self) -> LinkLost | None:
        """Why to leave the cloud in use for another; None to stay. Called a few times a second."""


class Watch:
    """Observes frames and predicts how long they take. This base class does neither."""

    frame_id = 0
    """The number of the frame that is about to begin."""

    def opened(self) -> None:
        """A stream has opened."""

    def lost(self, error: LinkLost) -> None:
        """The stream is lost."""

    def prefix(self, k: int, seconds: float) -> None:
        """Stages 0 to k took ``seconds`` a frame on this device."""

    def answered(self, group: FrameGroup, durations: Durations, received_s: float, size_bytes: int) -> None:
        """A reply of ``size_bytes`` arrived, in time or not."""

    def given_up(self, group: FrameGroup, now_s: float) -> None:
        """The device no longer waits for this group."""

    def expected_s(self, candidate: Candidate, ahead_bytes: int) -> float | None:
        """Expected seconds from sending to result, behind ``ahead_bytes`` in flight; None if unknown."""
        return None

    def finish_s(self, k: int) -> float:
        """Seconds that stages k to the last take on this device."""
        return 0.0

    def window(self, candidate: Candidate, behind: bool = False) -> int:
        """How many groups to keep in flight; ``behind`` means that frames of a live source are waiting."""
        return 1 << 30

    def most_bytes(self) -> float:
        """How many bytes to keep in flight at most; one group is always allowed."""
        return inf
