"""The device's loop: prefix, encode, in flight (bounded), result; every frame answered exactly once, and in order.

Frames may travel in groups (``batch``), one request a group. A frame whose answer does not come in time is finished on
the device from its cut, and so are all frames in flight when the link is lost; what comes after runs on the device
until there is a cloud again. A device that holds only the first stages of the chain leaves those frames unanswered, and
says so in each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from math import inf
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.in_flight import Clouds, FrameGroup, Watch, give_up_s
from partway.edge.pipeline.replies import ReplyDecoder, Times, retry_s
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.pipeline.uplink import Answer, FlightEvent, OneCloud, Uplink
from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import Arrivals, Groups
from partway.edge.transport.interface import FrameStream, OnLost, OnReply
from partway.errors import LinkLost, WireError
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain
from partway.proto.codecs.registry import RAW

log = logging.getLogger("partway.edge")

Array = np.ndarray[Any, Any]
STALL_S = 10.0
"""Patience where nothing is known of what a frame should take."""
HAND_OVER_S = 1e-3
"""A prefix that takes longer runs in a thread, so that replies are timed when they come."""
MOST_REFUSALS = 8
"""So many in a row, and the cloud is taken for lost: it may have another version of the model by now."""


class Runner:
    """Runs samples through one chain and, where a stream opens, a cloud. Not safe for use by several threads.

    ``clouds`` gives streams again after a loss; without it ``open_stream`` gives the only one. ``deadline_s`` counts
    from when a frame came. With a ``watch`` a frame that is overdue by what it should take is finished here. ``audit``
    is shown every group that was sent. ``after`` is a runner whose frames are all answered: this one goes on with its
    stream and its clouds, and it is used no more.
    """

    def __init__(
        self,
        chain: Chain,
        encoder: Encoder,
        open_stream: Callable[[OnReply, OnLost], FrameStream] | None = None,
        window: int = 4,
        batch: int = 1,
        stall_s: float = STALL_S,
        clouds: Clouds | None = None,
        in_order: bool = True,
        watch: Watch | None = None,
        deadline_s: float | None = None,
        audit: Callable[[FrameGroup], None] | None = None,
        after: Runner | None = None,
    ) -> None:
        self.chain, self.encoder = chain, encoder
        self.window, self.batch, self.in_order = window, batch, in_order
        self.deadline_s, self.audit = deadline_s, audit
        self._stages = len(chain.plan.stages)
        self._replies = ReplyDecoder(chain)
        self._longest_s: dict[int, float] = {}
        self._done: dict[int, FrameResult] = {}
        self._next_id = 0
        self._refusals: set[str] = set()
        self._refused_in_a_row = 0
        self._full_until_s = -inf
        self._clouds: Clouds = after._clouds if after is not None else clouds or OneCloud(open_stream)
        self._uplink: Uplink = Uplink(
            self._clouds, stall_s, chain.complete, watch, after=None if after is None else after._uplink
        )

    @property
    def watch(self) -> Watch:
        """Is told what happens, and knows what frames should take."""
        return self._uplink.watch

    @property
    def waiting(self) -> bool:
        """Whether frames are in flight."""
        return len(self._uplink.in_flight) > 0

    @property
    def lost(self) -> LinkLost | None:
        """Why there is no cloud any more; None where there is one, or never was."""
        return self._uplink.lost

    @property
    def full_s(self) -> float:
        """Seconds for which a full cloud still asks for no more frames; 0 where it does not."""
        return max(0.0, self._full_until_s - perf_counter())

    def another_cloud(self, error: LinkLost) -> Any:
        """Before frames flow: leave the cloud in use for the next one. See Clouds."""
        return self._uplink.another(error)

    def run(
        self, samples: Iterable[Sample] | Arrivals, candidate: Callable[[], Candidate], first_id: int = 0
    ) -> Iterator[FrameResult]:
        """Answer every sample; results in order, or as they are answered where ``in_order`` is not wanted.

        ``candidate`` is asked before each group of ``batch`` frames.
        """
        uplink, source = self._uplink, Groups(samples, self.batch, self._uplink.wake)
        self._next_id = begun_id = first_id
        while True:
            poll = True
            group = source.take(self._idle if uplink.in_flight else None)
            if group is None:
                break
            if group:
                self.watch.frame_id = begun_id
                chosen = candidate()
                self._begin(FrameGroup(begun_id, group, chosen, {}, source.came_s[0], came_s=source.came_s))
                begun_id += len(group)
                while self._full(self._most(chosen, source.behind())):
                    self._happened(uplink.wait())
                    yield from self._ready()
                    poll = False
            self._happened(uplink.turn(poll))
            yield from self._ready()
        while uplink.in_flight:
            self._happened(uplink.wait())
            yield from self._ready()

    def close(self) -> None:
        """End the stream; frames in flight are forgotten."""
        self._uplink.close()

    def _ready(self) -> Iterator[FrameResult]:
        """What may be handed out now."""
        while self._done and (not self.in_order or self._next_id in self._done):
            yield self._done.pop(self._next_id if self.in_order else next(iter(self._done)))
            self._next_id += 1

    def _most(self, candidate: Candidate, behind: bool) -> tuple[int, float]:
        """How many groups of this candidate, and bytes before another of them, may be in flight."""
        if candidate.codec is None:
            return 1 << 30, inf
        window = min(self.window, self.watch.window(candidate, behind))
        return window, self.watch.most_bytes() - candidate.size_bytes * self.batch

    def _full(self, most: tuple[int, float]) -> bool:
        in_flight = self._uplink.in_flight
        return len(in_flight) >= most[0] or (in_flight.bytes > most[1] and len(in_flight) > 0)

    def _idle(self, ready: Callable[[], bool]) -> None:
        """Nothing to begin yet: let replies come until there is."""
        if not ready():
            self._happened(self._uplink.wait())

    def _begin(self, group: FrameGroup) -> None:
        """Run the prefix and send what crosses, or run everything here."""
        group.started_s = perf_counter()
        if self.deadline_s is not None:
            group.deadline_s = group.begun_s + self.deadline_s
        candidate, samples = group.candidate, group.samples
        spared = self.chain.complete and (self._uplink.silent or group.started_s < self._full_until_s)
        if candidate.codec is None or spared or not self._uplink.open:
            self._answer_here(group)
            return
        k, codec = candidate.k, candidate.codec
        if self.encoder.sends_pixels(k, codec) and any(sample.pixels is None for sample in samples):
            codec = RAW  # tensors among the pictures
            group.candidate = replace(candidate, codec=codec)
        if not self.encoder.sends_pixels(k, codec):
            self._prefix(group, k)
        self._send(group)

    def _prefix(self, group: FrameGroup, k: int) -> None:
        """Make tensors and run stages 0 to k, in a thread when that is known to take longer than a hand-over."""
        begun_s = perf_counter()
        samples, long = group.samples, self._longest_s.get(k, 0.0) > HAND_OVER_S

        def work() -> tuple[Mapping[str, Array], float, float]:
            values, ready_s = self.encoder.tensors(samples), perf_counter()
            return self.chain.run(values, 0, k), ready_s, perf_counter()

        group.live, ready_s, ran_s = self._uplink.meanwhile(work, long)
        ended_s = perf_counter()
        self._longest_s[k] = ended_s - begun_s
        group.tensors_s, group.prefix_s = ready_s - begun_s, ended_s - ready_s
        if k:
            self.watch.prefix(k, (ran_s - ready_s) / len(samples))  # as profiles have it: without making tensors

    def _send(self, group: FrameGroup) -> None:
        begun_s, candidate = perf_counter(), group.candidate
        assert candidate.codec is not None
        left_s = None if group.deadline_s == inf else max(group.deadline_s - begun_s, 0.0)
        message = self.encoder.frame(
            str(group.first_id), candidate.k, candidate.codec, group.samples, group.live, left_s
        )
        if not group.resent:
            group.sent_s = perf_counter()
            group.encode_s = group.sent_s - begun_s
        count, ahead_bytes = len(group.samples), self._uplink.in_flight.bytes
        expected_s = self.watch.expected_s(candidate, ahead_bytes)
        group.give_up_s = group.deadline_s
        if expected_s is not None:
            finish_s = self.watch.finish_s(candidate.k) * count if self.chain.complete else None
            group.give_up_s = give_up_s(group.sent_s, group.deadline_s, expected_s * count, finish_s)
        self._uplink.send(group, message)
        if self.audit is not None and not group.resent:
            self.audit(group)

    def _answer_here(self, group: FrameGroup) -> None:
        """All of it on the device, if it can and there is time left."""
        if not self.chain.complete or perf_counter() > group.deadline_s:
            self._finish(group, {}, NOBODY, Times(), 0)
            return
        self._prefix(group, self._stages)
        group.candidate = Candidate(self._stages, None)
        self._finish(group, self.chain.answer(group.live), "device", Times(), 0)

    def _happened(self, events: Iterator[FlightEvent]) -> None:
        for event in events:
            if isinstance(event, Answer):
                self._answered(event)
            else:
                self._unanswered(event.groups, event.error)

    def _unanswered(self, groups: list[FrameGroup], error: LinkLost | None) -> None:
        """Another cloud takes what is in flight, where one is at hand and time is left; else it is finished here."""
        if error is not None and not self._uplink.open:
            then = "continuing on the device" if self.chain.complete else "what is left goes unanswered"
            log.warning("%s; %s", error, then)
        for group in groups:
            if error is not None and self._uplink.open and perf_counter() < group.give_up_s:
                group.resent = True
                self._send(group)
            else:
                self._finish_here(group)

    def _answered(self, answer: Answer) -> None:
        """Take the cloud's answer, or finish the frames here when it is none."""
        group, reply = answer.group, answer.reply
        if reply.error:
            full_s = retry_s(reply)
            self._full_until_s = max(self._full_until_s, answer.received_s + full_s)
            self._refused(group, f"the cloud refused ({reply.error})", busy=full_s > 0)
            return
        try:
            outputs = self._replies.outputs(group, reply, self.batch > 1)
        except (WireError, KeyError, ValueError) as error:
            self._refused(group, f"the answer does not fit ({error})")
            return
        self._refused_in_a_row = 0
        d = reply.durations
        link_s = max(0.0, answer.received_s - group.sent_s - d.queue_s - d.decode_s - d.suffix_s)
        self._finish(group, outputs, "cloud", Times(link_s, d.queue_s, d.decode_s, d.suffix_s), answer.size_bytes)

    def _refused(self, group: FrameGroup, why: str, busy: bool = False) -> None:
        """Said once for each reason, not once for each of thousands of frames."""
        then = "finished on the device" if self.chain.complete else "not answered"
        log.log(logging.DEBUG if why in self._refusals else logging.WARNING, "%s; %s", why, then)
        self._refusals.add(why)
        self._finish_here(group)
        self._refused_in_a_row += self.deadline_s is None and not busy  # else it may be the deadline's fault
        if self._refused_in_a_row >= MOST_REFUSALS and self._uplink.open and self.chain.complete:
            self._refused_in_a_row = 0
            lost = self._uplink.lose(LinkLost(f"the cloud refused {MOST_REFUSALS} frames in a row"))
            self._unanswered(lost.groups, lost.error)

    def _finish_here(self, group: FrameGroup) -> None:
        """Run what is left from the cut on, where it is here: nothing that was computed is computed again."""
        begun_s = perf_counter()
        if not self.chain.complete or begun_s > group.deadline_s:
            self._finish(group, {}, NOBODY, Times(link_s=begun_s - group.sent_s), 0)
            return
        live: Mapping[str, Array] = group.live or self.encoder.tensors(group.samples)
        ready_s = perf_counter()
        group.tensors_s += ready_s - begun_s
        outputs = self.chain.answer(self.chain.run(live, group.candidate.k, self._stages))
        times = Times(link_s=begun_s - group.sent_s, suffix_s=perf_counter() - ready_s)
        self._finish(group, outputs, "device", times, 0)

    def _finish(self, group: FrameGroup, outputs: Mapping[str, Array], by: str, times: Times, received: int) -> None:
        missed = perf_counter() > group.deadline_s
        for result in self._replies.results(group, outputs, by, times, received, missed):
            self._done[result.id] = result
