"""Replay a trace in virtual time: the real code that estimates the link and chooses, on a simulated link.

Device and cloud take the times of a real decision; the link is the emulator's shaping (edge/emulator/shaper.py) without
sockets; one frame at a time, as fast as they are answered. What happens to a frame that is overdue or a cloud that is
silent is what the runner does. Minutes of trace take a second, and all of it can be seen: ``clairvoyant`` knows
the next second of the link. How far it is from real replays is measured by benchmarks/traces.py.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from partway.edge.decision.split_controller import IDLE_S, SplitController
from partway.edge.emulator.shaper import TracePace
from partway.edge.pipeline.in_flight import FrameGroup, give_up_s
from partway.edge.pipeline.uplink import LOST_S
from partway.edge.transport.cloud_monitor import LEAST_BYTES, MOST_BYTES, PROBE_S, TICK_S, Probed
from partway.errors import LinkLost
from partway.partitioner.decide.estimate import Candidate, Estimate, Link
from partway.partitioner.decide.objectives import objective
from partway.partitioner.plan.plan import Plan
from partway.proto.frame import Durations

ANSWER_S = 1.0
SMALL_BYTES = 250
"""Bytes of a probe without payload, including HTTP/2 and TCP."""
HEAD_BYTES = 40
"""Bytes that HTTP/2 adds to a frame in each direction."""
WAITING = 4
"""Frames that wait when the device is behind (edge/sources/frame_queue.py)."""
BETWEEN_S = 5e-4
"""Seconds from an answer to the next frame: the runtime's own time."""
PARTS = ("prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s")


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame begun at ``at_s`` and answered ``total_s`` later, by the cloud or by the device."""

    at_s: float
    candidate: Candidate
    total_s: float
    by_cloud: bool


@dataclass
class Road:
    """The link: both directions of a trace, and half of the round trip each way. Times must nearly ascend."""

    up: TracePace
    down: TracePace
    rtt_s: float

    def arrival_s(self, now_s: float, size_bytes: int) -> float:
        """When bytes sent now arrive in the cloud."""
        return self.up.depart(now_s, size_bytes) + self.rtt_s / 2

    def reply_arrival_s(self, now_s: float, size_bytes: int) -> float:
        """When bytes that the cloud sends now arrive at the device."""
        return self.down.depart(now_s, size_bytes) + self.rtt_s / 2

    def begin(self) -> Road:
        """The same link with its trace at the beginning."""
        copied_road = copy.copy(self)
        copied_road.up, copied_road.down = copy.copy(self.up), copy.copy(self.down)
        for pace in (copied_road.up, copied_road.down):
            pace.rewind()
            pace.depart(0.0, 0)
        return copied_road

    def copied(self) -> Road:
        """A copy in the present state, to look ahead."""
        copied_road = copy.copy(self)
        copied_road.up, copied_road.down = copy.copy(self.up), copy.copy(self.down)
        return copied_road


def estimates_of(decision: Mapping[str, Any]) -> list[Estimate]:
    """The estimates of a decision in ``partway bench --json``, with the parts measured by trial frames."""
    found = []
    for row in decision["candidates"]:
        times = row["measured"] or row
        candidate = Candidate(row["cut"], row["codec"], row["bytes"], row["reply_bytes"])
        parts = {part: float(times[part]) for part in PARTS}
        found.append(Estimate(candidate, **parts))
    return found


class Source:
    """When the next frame begins: at once, or on ``fps`` when it is due; of those that wait the newest WAITING stay."""

    def __init__(self, fps: float | None) -> None:
        self._fps, self._next = fps, 0

    def begin_s(self, now_s: float) -> float:
        """When the next frame of a device that is free at ``now_s`` begins."""
        if self._fps is None:
            return now_s
        self._next = max(self._next, int(now_s * self._fps) + 1 - WAITING)
        due_s = self._next / self._fps
        self._next += 1
        return max(now_s, due_s)


class World:
    """What is the same in all replays of one model over one link."""

    def __init__(
        self, estimates: Sequence[Estimate], plan: Plan, road: Road, link: Link, fps: float | None = None
    ) -> None:
        self.fps = fps
        self.estimates = {estimate.candidate: estimate for estimate in estimates}
        self.plan, self.road, self.link = plan, road, link
        self.home = next(c for c in self.estimates if c.codec is None)
        self.unsplit_s = self.estimates[self.home].prefix_s

    def here_s(self, candidate: Candidate) -> float:
        """Seconds of prefix and encoding."""
        estimate = self.estimates[candidate]
        return estimate.prefix_s + estimate.encode_s

    def cloud_s(self, candidate: Candidate) -> float:
        """Seconds of decoding and suffix."""
        estimate = self.estimates[candidate]
        return estimate.decode_s + estimate.suffix_s

    def answered_s(self, road: Road, candidate: Candidate, now_s: float) -> float:
        """When the answer to a frame begun now arrives; advances the road."""
        if candidate.codec is None:
            return now_s + self.unsplit_s
        arrived_s = road.arrival_s(now_s + self.here_s(candidate), candidate.size_bytes + HEAD_BYTES)
        return road.reply_arrival_s(arrived_s + self.cloud_s(candidate), candidate.reply_bytes + HEAD_BYTES)


class Replay:
    """A run controlled by SplitController, in virtual time."""

    def __init__(self, world: World, fixed: Candidate | None = None) -> None:
        self.world, self.road, self.now_s = world, world.road.begin(), 0.0
        chosen = fixed or min(world.estimates.values(), key=lambda e: e.total_s).candidate
        estimates = list(world.estimates.values())
        self.controller = SplitController(
            *(estimates, chosen, objective(), world.plan, world.link),
            free=fixed is None,
            clock=lambda: self.now_s,
            probes=self._probes,
        )
        self._late: list[tuple[float, FrameGroup]] = []
        self._silent_s = self._back_s = inf
        self._back_link = world.link
        self._probing: tuple[float, list[Probed]] | None = None
        self._probed_link = world.link
        self._ticked_s = 0.0

    def frames(self, seconds: float) -> Iterator[Frame]:
        """The frames begun within ``seconds``."""
        source = Source(self.world.fps)
        while (begin_s := source.begin_s(self.now_s)) < seconds:
            self.now_s = begin_s
            self._turn()
            candidate = self.controller()
            begun_s = self.now_s
            by_cloud = self._frame(candidate)
            yield Frame(begun_s, candidate, self.now_s - begun_s, by_cloud)
            self.now_s += BETWEEN_S

    def _turn(self) -> None:
        """Handle late answers, a silent cloud, and its return."""
        answered = [pair for pair in self._late if pair[0] <= self.now_s]
        for received_s, group in answered:
            self._late.remove((received_s, group))
            self._silent_s = inf
            self._tell(group, received_s)
        if self.controller.connected and self._silent_s < inf:
            expected = [self.controller.expected_s(group.candidate, 0) or 0.0 for _, group in self._late]
            if self.now_s - self._silent_s > max(LOST_S, 4 * max(expected, default=0.0)):
                self._late.clear()
                self._silent_s = inf
                self.controller.lost(LinkLost("no reply"))
                self._back_s = self._look(self.now_s)
        if not self.controller.connected and self.now_s >= self._back_s:
            self.controller.relinked(self._back_link)
            self._probed_link = self._back_link
            self.controller.opened()

    def _frame(self, candidate: Candidate) -> bool:
        world, controller = self.world, self.controller
        if candidate.codec is None or not controller.connected or self._silent_s < inf:
            self.now_s += world.unsplit_s
            controller.prefix(len(world.plan.stages), world.unsplit_s)
            return False
        estimate = world.estimates[candidate]
        self.now_s += estimate.prefix_s
        controller.prefix(candidate.k, estimate.prefix_s)
        self.now_s += estimate.encode_s
        group = FrameGroup(0, [None], candidate, {}, self.now_s, sent_s=self.now_s, bytes_sent=candidate.size_bytes)  # type: ignore[list-item]
        expected_s = controller.expected_s(candidate, 0) or 0.0
        until_s = give_up_s(self.now_s, inf, expected_s, controller.finish_s(candidate.k))
        arrived_s = self.road.arrival_s(self.now_s, candidate.size_bytes + HEAD_BYTES)
        received_s = self.road.reply_arrival_s(arrived_s + world.cloud_s(candidate), candidate.reply_bytes + HEAD_BYTES)
        if received_s <= until_s:
            self.now_s = received_s
            self._tell(group, received_s)
            return True
        controller.given_up(group, until_s)
        self._late.append((received_s, group))
        self._silent_s = min(self._silent_s, until_s)
        self.now_s = until_s + world.unsplit_s - estimate.prefix_s
        return False

    def _tell(self, group: FrameGroup, received_s: float) -> None:
        estimate = self.world.estimates[group.candidate]
        durations = Durations(0.0, estimate.decode_s, estimate.suffix_s)
        self.controller.answered(group, durations, received_s, group.candidate.reply_bytes)

    def _probes(self) -> Iterator[Probed]:
        """The probes that the cloud monitor would have made by now while no frames measure the link."""
        if self._probing is None and self.now_s - self.controller.link.updated_s > IDLE_S:
            begun_s = max(self._ticked_s + TICK_S, self.controller.link.updated_s + IDLE_S + TICK_S / 2)
            self._probing = self._probe(begun_s)
        if self._probing is not None and self._probing[0] <= self.now_s:
            self._ticked_s, probed = self._probing
            self._probing = None
            yield from probed

    def _probe(self, begun_s: float) -> tuple[float, list[Probed]]:
        size = int(min(max(self._probed_link.bandwidth_bps / 8 * PROBE_S, LEAST_BYTES), MOST_BYTES))
        connected_s = self._ask(begun_s, 0)
        first_s = self._ask(connected_s, 16)
        small_s = self._ask(first_s, 16) - first_s
        large_s = self._ask(first_s + small_s, size) - first_s - small_s
        if max(connected_s - begun_s, first_s - connected_s, small_s, large_s) > ANSWER_S:
            self._probed_link = Link(size * 8 / ANSWER_S, ANSWER_S)
            return begun_s + ANSWER_S, [Probed(size, ANSWER_S, 0.0, begun_s + ANSWER_S)]
        self._probed_link = Link(size * 8 / max(large_s - small_s, 0.05 * large_s), small_s)
        at_s = first_s + small_s
        return at_s + large_s, [Probed(16, small_s, 0.0, at_s), Probed(size, large_s, 0.0, at_s + large_s)]

    def _ask(self, now_s: float, size_bytes: int) -> float:
        """When a small request with so much payload is answered."""
        return self.road.reply_arrival_s(self.road.arrival_s(now_s, SMALL_BYTES + size_bytes), SMALL_BYTES)

    def _look(self, now_s: float) -> float:
        """When the cloud is found again (edge/transport/cloud_monitor.py)."""
        pause_s = 0.1
        while now_s < self.now_s + 60:
            begun_s, worst_s = now_s, 0.0
            now_s = self._ask(self._ask(now_s, 0), 800)  # connect, describe
            small: list[float] = []
            for _ in range(9):
                small.append(self._ask(now_s, 16) - now_s)
                now_s += small[-1]
            rtt_s, size = sorted(small)[4], 16 << 10
            transfer_s = self._ask(now_s, size) - now_s
            worst_s = max(*small, transfer_s, now_s - begun_s - sum(small))
            now_s += transfer_s
            if worst_s < ANSWER_S:
                self._back_link = Link(size * 8 / max(transfer_s - rtt_s, transfer_s * 0.05), rtt_s)
                return now_s
            now_s = begun_s + ANSWER_S + pause_s
            pause_s = min(pause_s * 1.5, 1.2)
        return now_s


def clairvoyant(world: World, seconds: float, every_s: float = 1.0) -> Iterator[Frame]:
    """Once a second switch to the candidate with the lowest mean over the next second, by looking ahead."""
    road, source, end_s = world.road.begin(), Source(world.fps), -inf
    best, now_s = world.home, source.begin_s(0.0)
    while now_s < seconds:
        if now_s >= end_s:
            end_s = now_s + every_s
            best = min(world.estimates, key=lambda candidate: _taken_s(world, road, source, candidate, now_s, end_s))
        done_s = world.answered_s(road, best, now_s)
        yield Frame(now_s, best, done_s - now_s, best.codec is not None)
        now_s = source.begin_s(done_s + BETWEEN_S)


def _taken_s(world: World, road: Road, source: Source, candidate: Candidate, now_s: float, end_s: float) -> float:
    """What the candidate's frames take that begin before ``end_s``, on average."""
    ahead, then, times = road.copied(), copy.copy(source), list[float]()
    while now_s < end_s:
        done_s = world.answered_s(ahead, candidate, now_s)
        times.append(done_s - now_s)
        now_s = then.begin_s(done_s + BETWEEN_S)
    return sum(times) / len(times)


def static(world: World, candidate: Candidate, seconds: float, rescued: bool = True) -> Iterator[Frame]:
    """One candidate all the time; ``rescued``: the device finishes overdue frames, as the runtime does."""
    if rescued:
        yield from Replay(world, candidate).frames(seconds)
        return
    road, source = world.road.begin(), Source(world.fps)
    now_s = source.begin_s(0.0)
    while now_s < seconds:
        done_s = world.answered_s(road, candidate, now_s)
        yield Frame(now_s, candidate, done_s - now_s, candidate.codec is not None)
        now_s = source.begin_s(done_s + BETWEEN_S)


def mean_s(frames: Sequence[Frame]) -> float:
    """Of the frames."""
    return sum(frame.total_s for frame in frames) / len(frames)
