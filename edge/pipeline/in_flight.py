"""Frames under way: what is needed to finish each of them here, and when to stop waiting for the cloud."""

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
"""Without a deadline: how long after a cut the first frame in flight is answered here, where the device can."""
MARGIN_S = 0.03
"""Kept back from the grace for noticing and for switching over."""
SHARE = 0.1
"""Of what finishing here takes: its own spread."""


@dataclass(slots=True)
class FrameGroup:
    """Frames that travel together, and all that is needed to finish them here. Seconds, on this machine's clock.

    ``begun_s`` is when the first of them came, ``came_s`` when each of them did, ``started_s`` when their turn came.
    ``tensors_s`` is what making tensors of them took. ``give_up_s`` is when they are finished here if they are not
    answered, ``deadline_s`` when they are missed.
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
    came_s: Sequence[float] = ()
    started_s: float = 0.0
    tensors_s: float = 0.0


class InFlight:
    """The groups that were sent and are not answered, oldest first, and their bytes."""

    def __init__(self) -> None:
        self._groups: dict[int, FrameGroup] = {}
        self._due_s: float | None = inf
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[FrameGroup]:
        return iter(list(self._groups.values()))

    def add(self, group: FrameGroup) -> None:
        """Another one is sent."""
        self._groups[group.first_id] = group
        self.bytes += group.bytes_sent
        if self._due_s is not None and group.give_up_s < self._due_s:
            self._due_s = group.give_up_s

    def pop(self, first_id: int) -> FrameGroup | None:
        """It is answered, or given up; None when it was before, or never was."""
        group = self._groups.pop(first_id, None)
        if group is not None:
            self.bytes -= group.bytes_sent
            if group.give_up_s == self._due_s:
                self._due_s = None
        return group

    def delay(self, seconds: float) -> None:
        """Wait so much longer for those that have no deadline."""
        for group in self._groups.values():
            if group.deadline_s == inf:
                group.give_up_s += seconds
        self._due_s = None

    def due_s(self) -> float:
        """When the first of them is given up; inf without any."""
        if self._due_s is None:
            self._due_s = min([group.give_up_s for group in self._groups.values()], default=inf)
        return self._due_s


def give_up_s(sent_s: float, deadline_s: float, expected_s: float, finish_s: float | None) -> float:
    """When to finish a frame here that was sent at ``sent_s`` and has to be answered by ``deadline_s`` (inf: none).

    ``expected_s`` is what the answer should take, ``finish_s`` what finishing here takes, None where that is not
    possible. With a deadline as late as it can still be met, but never before the answer is expected, unless that is
    after the deadline; where the device cannot make it, at the deadline. Without one at twice what is expected, or so
    that GRACE_S is kept, whichever is later.
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
    """Where streams come from, the first one and others after a loss."""

    def open(self, on_reply: Any, on_lost: Any) -> Any:
        """A stream to a cloud that is there now, None where none is. Cheap: it is asked before every frame."""

    def lost(self, error: LinkLost) -> None:
        """The cloud of the last stream is gone; look for it, and for others."""

    def another(self, error: LinkLost) -> Any:
        """Before frames flow, the cloud in use is of no use: move to the next one that serves the plan (``Serving``).

        None where there is none.
        """

    def leave(self) -> LinkLost | None:
        """Why to leave the cloud in use for another; None to stay. Asked a few times a second."""


class Watch:
    """Sees what happens to frames, and knows what they should take. This one does not care."""

    frame_id = 0
    """Of the frame that is about to begin."""

    def opened(self) -> None:
        """There is a stream again."""

    def lost(self, error: LinkLost) -> None:
        """There is none any more."""

    def prefix(self, k: int, seconds: float) -> None:
        """Stages 0 to k took this long here, a frame."""

    def answered(self, group: FrameGroup, durations: Durations, received_s: float, size_bytes: int) -> None:
        """A reply of so many bytes came, in time or not."""

    def given_up(self, group: FrameGroup, now_s: float) -> None:
        """A group is not waited for any longer."""

    def expected_s(self, candidate: Candidate, ahead_bytes: int) -> float | None:
        """From sending to result, behind so many bytes of ours; None where nothing is known: then patience is long."""
        return None

    def finish_s(self, k: int) -> float:
        """What stages k to the last take here."""
        return 0.0

    def window(self, candidate: Candidate, behind: bool = False) -> int:
        """How many groups to keep in flight; ``behind`` says that frames wait which their source did not hold back."""
        return 1 << 30

    def most_bytes(self) -> float:
        """How many bytes to keep in flight at most; one group is always allowed."""
        return inf
