"""Sends frames to the cloud, receives replies, and decides when to stop waiting.

An overdue answer or a lost link becomes an event with the groups of frames concerned; the runner decides what to do.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Any

from partway.edge.pipeline.in_flight import Clouds, FrameGroup, InFlight, Watch
from partway.edge.transport.interface import FrameStream, OnLost, OnReply, T
from partway.errors import LinkLost, WireError
from partway.proto.frame import Reply, decode_reply

log = logging.getLogger("partway.edge")

LOST_S = 1.0
"""A cloud this silent after a frame was given up is lost, unless it is expected to be that slow."""
LOOK_S = 2e-3
"""Time to read replies that have already arrived, since the device itself may have been busy or asleep."""
ASLEEP_S = 0.05
"""A wait that overran by this much means that this machine was asleep or overloaded."""
GLANCE_S = 0.25
"""How often to check an unused stream for its end, and whether a better cloud is available."""


class OneCloud:
    """Clouds with a single cloud: after a loss no stream opens."""

    def __init__(self, open_stream: Callable[[OnReply, OnLost], FrameStream] | None) -> None:
        self._open = open_stream

    def open(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream | None:
        """See Clouds."""
        return self._open(on_reply, on_lost) if self._open is not None else None

    def lost(self, error: LinkLost) -> None:
        """See Clouds."""
        self._open = None

    def next_cloud(self, error: LinkLost) -> None:
        """See Clouds: there is no other cloud."""

    def reason_to_leave(self) -> LinkLost | None:
        """See Clouds: there is no other cloud."""
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A group's reply of ``size_bytes`` arrived in time."""

    group: FrameGroup
    reply: Reply
    received_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The device no longer waits for these groups; ``error`` is set if the cloud itself is lost."""

    groups: list[FrameGroup]
    error: LinkLost | None = None


FlightEvent = Answer | Unanswered


class Uplink:
    """Uses one stream at a time. ``stall_s`` is how long to wait when ``watch`` expects no time.

    With ``fail_fast``, giving up one group gives up all groups in flight. ``after`` is an uplink with nothing in
    flight: this one takes over its stream, and the other must not be used again.
    """

    def __init__(
        self, clouds: Clouds, stall_s: float, fail_fast: bool, watch: Watch | None = None, after: Uplink | None = None
    ) -> None:
        self._clouds, self._stall_s, self._fail_fast = clouds, stall_s, fail_fast
        self.watch = watch or Watch()
        self.in_flight: InFlight = InFlight() if after is None else after.in_flight
        self.lost: LinkLost | None = None if after is None else after.lost
        self._given_up: dict[int, FrameGroup] = {}
        self._silent_since_s, self._glanced_s = inf, -inf
        self._events: deque[tuple[bytes, float] | LinkLost] = deque() if after is None else after._events
        self._stream: FrameStream | None
        if after is None:
            self._stream = clouds.open(self._on_reply, self._events.append)
        else:
            self._stream, after._stream = after._stream, None

    def _on_reply(self, message: bytes, received_s: float) -> None:
        self._events.append((message, received_s))

    @property
    def open(self) -> bool:
        """Whether a stream is open."""
        return self._stream is not None

    @property
    def silent(self) -> bool:
        """Whether a frame was given up and no reply has arrived since."""
        return self._silent_since_s < inf

    def send(self, group: FrameGroup, message: bytes) -> None:
        """Send a group. The stream must be open."""
        assert self._stream is not None
        group.bytes_sent = len(message)
        self.in_flight.add(group)
        self._stream.send(message)

    def meanwhile(self, work: Callable[[], T], in_thread: bool) -> T:
        """Do ``work``; if ``in_thread`` and replies may arrive, in a thread."""
        if in_thread and self._stream is not None and (self.in_flight or self._given_up):
            return self._stream.meanwhile(work)
        return work()

    def wake(self) -> None:
        """End ``wait``; may be called from any thread."""
        if (stream := self._stream) is not None:
            stream.wake()

    def close(self) -> None:
        """End the stream; frames in flight get no reply."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def turn(self, poll: bool = True) -> Iterator[FlightEvent]:
        """Between two frames: yield replies and overdue groups, and check for a returned or a better cloud.

        Without ``poll``, replies are not read, because the caller has just done so.
        """
        if poll and self.in_flight and not self._events and self._stream is not None:
            self._stream.poll(0.0)
        while self._events:
            yield from self._event(self._events.popleft())
        if self._stream is None:
            self._reopen()
            return
        now_s = perf_counter()
        if self.in_flight:
            if now_s >= self.in_flight.due_s():
                yield from self.wait()
        elif self.silent:
            yield from self._listen()
        if now_s - self._glanced_s > GLANCE_S:
            self._glanced_s = now_s
            yield from self._glance()

    def _glance(self) -> Iterator[FlightEvent]:
        if self._stream is not None and not self.in_flight:
            self._stream.poll(0.0)
        if self._stream is not None and (why := self._clouds.reason_to_leave()) is not None:
            yield self._lose(why)

    def wait(self) -> Iterator[FlightEvent]:
        """Wait for a reply, a loss or an overdue group."""
        begun_s, due_s = perf_counter(), self.in_flight.due_s()
        if not self._events and self._stream is not None:
            self._stream.poll(max(due_s - begun_s, LOOK_S) if due_s < inf else self._stall_s)
        if self._events:
            yield from self._event(self._events.popleft())
            return
        now_s = perf_counter()
        until_s = max(due_s, begun_s + LOOK_S) if due_s < inf else begun_s + self._stall_s
        if now_s - until_s > ASLEEP_S:  # this process was stopped, the cloud is not to blame
            self.in_flight.delay(now_s - until_s)
            return
        if due_s == inf and now_s - begun_s >= self._stall_s:
            yield self._lose(LinkLost(f"no reply for {self._stall_s:g} s"))
        elif due_s <= now_s:
            yield self._overdue(now_s)

    def _overdue(self, now_s: float) -> Unanswered:
        """Give up overdue groups; with ``fail_fast`` all, since replies arrive in order."""
        self._silent_since_s = min(self._silent_since_s, now_s)
        groups = [group for group in self.in_flight if self._fail_fast or group.give_up_s <= now_s]
        for group in groups:
            self.watch.given_up(group, now_s)
            self.in_flight.pop(group.first_id)
            self._given_up[group.first_id] = group
        return Unanswered(groups)

    def _listen(self) -> Iterator[FlightEvent]:
        """While the cloud is silent: read late replies, and declare it lost after too long a silence."""
        if not self._events and self._stream is not None:
            self._stream.poll(LOOK_S)
        while self._events:
            yield from self._event(self._events.popleft())
        silence_s = perf_counter() - self._silent_since_s
        expected = [self.watch.expected_s(group.candidate, 0) or 0.0 for group in self._given_up.values()]
        if self._stream is not None and silence_s > max(LOST_S, 4 * max(expected, default=0.0)):
            yield self._lose(LinkLost(f"no reply for {silence_s:.2g} s"))

    def _event(self, event: tuple[bytes, float] | LinkLost) -> Iterator[FlightEvent]:
        if isinstance(event, LinkLost):
            if self._stream is not None:
                yield self._lose(event)
            return
        message, received_s = event
        try:
            reply = decode_reply(message)
            first_id = int(reply.frame.id)
        except (WireError, ValueError):
            log.warning("dropped a reply that cannot be read")
            return
        group = self.in_flight.pop(first_id)
        answered = group or self._given_up.pop(first_id, None)
        if answered is not None:
            self._silent_since_s = inf
            if not reply.error:
                self.watch.answered(answered, reply.durations, received_s, len(message))
        if group is not None:
            yield Answer(group, reply, received_s, len(message))

    def next_cloud(self, error: LinkLost) -> Any:
        """Before frames flow: leave the cloud in use and open a stream to the next. See Clouds."""
        self.close()
        self.lost = error
        if (serving := self._clouds.next_cloud(error)) is not None:
            self._reopen()
        return serving

    def lose(self, error: LinkLost) -> Unanswered:
        """Stop using the cloud; returns the groups in flight."""
        return self._lose(error)

    def _lose(self, error: LinkLost) -> Unanswered:
        self.lost = error
        self._silent_since_s = inf
        self._given_up.clear()
        self.close()
        self._clouds.lost(error)
        self.watch.lost(error)
        groups = list(self.in_flight)
        for group in groups:
            self.in_flight.pop(group.first_id)
        self._reopen()
        return Unanswered(groups, error)

    def _reopen(self) -> None:
        """Open a stream if a cloud is available."""
        self._events.clear()
        self._stream = self._clouds.open(self._on_reply, self._events.append)
        if self._stream is not None:
            self.lost = None
            self.watch.opened()
