"""The device's loop: prefix, encoding, a bounded number in flight, result. Each frame gets one answer, in order.

Frames may travel in groups (``batch``), one request per group. If an answer is overdue, the device finishes the frame
from its cut. When the link is lost, it finishes all frames in flight so, and runs later frames itself until a cloud is
available. A device that holds only the first stages cannot do that: its results say that nobody answered.

If the model keeps state between frames, the runner holds it. Then frames go one at a time, and the outputs of each
answered frame are the state of the next one. A frame that nobody answered leaves the state as it was.
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
from partway.edge.pipeline.replies import Answers, ReplyDecoder, Times, retry_s
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.pipeline.uplink import Answer, FlightEvent, OneCloud, Uplink
from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import Arrivals, Groups
from partway.edge.transport.interface import FrameStream, OnLost, OnReply
from partway.errors import LinkLost
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.state import StreamState
from partway.proto.codecs.registry import RAW

log = logging.getLogger("partway.edge")

Array = np.ndarray[Any, Any]
STALL_S = 10.0
"""How long to wait for a reply if no time is expected for the frame."""
HAND_OVER_S = 1e-3
"""A prefix that takes longer runs in a thread, so that replies are timed on arrival."""
MOST_REFUSALS = 8
"""After so many refusals in a row the cloud counts as lost: it may have another version of the model."""
MOST_REASONS = 20
"""How many different reasons of refusals are logged: a damaged answer may be damaged otherwise each time."""


class Runner:
    """Runs samples through one chain and, where a stream opens, a cloud. Not safe for use by several threads.

    ``clouds`` opens streams, also after a loss; without it ``open_stream`` opens the only one. ``deadline_s`` counts
    from the arrival of a frame. A ``watch`` predicts times, and the device finishes frames that exceed them. ``audit``
    gets every group that was sent. ``after`` is a runner without unanswered frames: this one takes over its stream,
    its clouds and how long a full cloud asked to wait, and the other must not be used again.
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
        self.state = StreamState(chain.plan)
        self.window, self.batch = (1, 1) if self.state else (window, batch)
        self.in_order = in_order
        self.deadline_s, self.audit = deadline_s, audit
        self._stages = len(chain.plan.stages)
        self._replies = ReplyDecoder(chain)
        self._last_prefix_s: dict[int, float] = {}
        self._done: dict[int, FrameResult] = {}
        self._next_id = 0
        self._refusals: set[str] = set()
        self._refused_in_a_row = 0
        self._full_until_s: float = -inf if after is None else after._full_until_s
        self._clouds: Clouds = after._clouds if after is not None else clouds or OneCloud(open_stream)
        self._uplink: Uplink = Uplink(
            self._clouds, stall_s, chain.complete, watch, after=None if after is None else after._uplink
        )

    @property
    def watch(self) -> Watch:
        """Observes the frames and predicts how long they take."""
        return self._uplink.watch

    @property
    def waiting(self) -> bool:
        """Whether frames are in flight."""
        return len(self._uplink.in_flight) > 0

    @property
    def lost(self) -> LinkLost | None:
        """Why the cloud is lost; None while a cloud is connected, or if none was ever used."""
        return self._uplink.lost

    @property
    def full_s(self) -> float:
        """Seconds that a full cloud still asks the device to wait; 0 if it does not ask."""
        return max(0.0, self._full_until_s - perf_counter())

    def next_cloud(self, error: LinkLost) -> Any:
        """Before frames flow: leave the cloud in use for the next one. See Clouds."""
        return self._uplink.next_cloud(error)

    def run(
        self, samples: Iterable[Sample] | Arrivals, candidate: Callable[[], Candidate], first_id: int = 0
    ) -> Iterator[FrameResult]:
        """Answer every sample; results in order, or without ``in_order`` as they are answered.

        ``candidate`` is called before each group of ``batch`` frames.
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
                self._begin(FrameGroup(begun_id, group, chosen, {}, source.arrived_s[0], arrived_s=source.arrived_s))
                begun_id += len(group)
                while self._at_limit(self._limits(chosen, source.behind())):
                    self._handle(uplink.wait())
                    yield from self._ready()
                    poll = False
            self._handle(uplink.turn(poll))
            yield from self._ready()
        while uplink.in_flight:
            self._handle(uplink.wait())
            yield from self._ready()

    def close(self) -> None:
        """End the stream; frames in flight get no answer."""
        self._uplink.close()

    def _ready(self) -> Iterator[FrameResult]:
        """Results that may be handed out now."""
        while self._done and (not self.in_order or self._next_id in self._done):
            yield self._done.pop(self._next_id if self.in_order else next(iter(self._done)))
            self._next_id += 1

    def _limits(self, candidate: Candidate, behind: bool) -> tuple[int, float]:
        """The most groups in flight, and the most bytes that may precede another group of this candidate."""
        if candidate.codec is None:
            return 1 << 30, inf
        window = min(self.window, self.watch.window(candidate, behind))
        return window, self.watch.most_bytes() - candidate.size_bytes * self.batch

    def _at_limit(self, limits: tuple[int, float]) -> bool:
        in_flight = self._uplink.in_flight
        return len(in_flight) >= limits[0] or (in_flight.bytes > limits[1] and len(in_flight) > 0)

    def _idle(self, ready: Callable[[], bool]) -> None:
        """Handle replies while no sample is ready."""
        if not ready():
            self._handle(self._uplink.wait())

    def _begin(self, group: FrameGroup) -> None:
        """Run the prefix and send the values of the cut, or run everything on the device."""
        group.started_s = perf_counter()
        if group.samples[0].begins:
            self.state.reset()
        if self.deadline_s is not None:
            group.deadline_s = group.begun_s + self.deadline_s
        candidate, samples = group.candidate, group.samples
        avoid_cloud = self.chain.complete and (self._uplink.silent or group.started_s < self._full_until_s)
        if candidate.codec is None or avoid_cloud or not self._uplink.open:
            self._answer_here(group)
            return
        k, codec = candidate.k, candidate.codec
        if self.encoder.sends_pixels(k, codec) and any(sample.pixels is None for sample in samples):
            codec = RAW  # the group holds tensors as well as pictures
            group.candidate = replace(candidate, codec=codec)
        if not self.encoder.sends_pixels(k, codec):
            self._prefix(group, k)
        self._send(group)

    def _prefix(self, group: FrameGroup, k: int) -> None:
        """Make tensors and run stages 0 to k, in a thread if the last time took longer than HAND_OVER_S."""
        begun_s = perf_counter()
        samples, in_thread = group.samples, self._last_prefix_s.get(k, 0.0) > HAND_OVER_S

        def work() -> tuple[Mapping[str, Array], float, float]:
            values, ready_s = self.state.before(self.encoder.tensors(samples)), perf_counter()
            return self.chain.run(values, 0, k), ready_s, perf_counter()

        group.live, ready_s, ran_s = self._uplink.meanwhile(work, in_thread)
        ended_s = perf_counter()
        self._last_prefix_s[k] = ended_s - begun_s
        group.tensors_s, group.prefix_s = ready_s - begun_s, ended_s - ready_s
        if k:
            self.watch.prefix(k, (ran_s - ready_s) / len(samples))  # like profiles, without making tensors

    def _send(self, group: FrameGroup) -> None:
        begun_s, candidate = perf_counter(), group.candidate
        assert candidate.codec is not None
        remaining_s = None if group.deadline_s == inf else max(group.deadline_s - begun_s, 0.0)
        message = self.encoder.frame(
            str(group.first_id), candidate.k, candidate.codec, group.samples, group.live, remaining_s
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
        """Run the whole model on the device, if it can and the deadline has not passed."""
        if not self.chain.complete or perf_counter() > group.deadline_s:
            self._finish(group, {}, NOBODY, Times(), 0)
            return
        self._prefix(group, self._stages)
        group.candidate = Candidate(self._stages, None)
        self._finish(group, self.chain.answer(group.live), "device", Times(), 0)

    def _handle(self, events: Iterator[FlightEvent]) -> None:
        for event in events:
            if isinstance(event, Answer):
                self._answered(event)
            else:
                self._unanswered(event.groups, event.error)

    def _unanswered(self, groups: list[FrameGroup], error: LinkLost | None) -> None:
        """Send the groups to another cloud if one is connected and time remains; else finish them on the device."""
        if error is not None and not self._uplink.open:
            consequence = "continuing on the device" if self.chain.complete else "the remaining frames get no answer"
            log.warning("%s; %s", error, consequence)
        for group in groups:
            if error is not None and self._uplink.open and perf_counter() < group.give_up_s:
                group.resent = True
                self._send(group)
            else:
                self._finish_here(group)

    def _answered(self, answer: Answer) -> None:
        """Take the cloud's answer, or finish the frames on the device if it is unusable."""
        group, reply = answer.group, answer.reply
        if reply.error:
            full_s = retry_s(reply)
            self._full_until_s = max(self._full_until_s, answer.received_s + full_s)
            self._refused(group, f"the cloud refused ({reply.error})", busy=full_s > 0)
            return
        try:
            outputs = self._replies.outputs(group, reply, self.batch > 1)
            answers = self._replies.answers(group, outputs)
        except Exception as error:  # of values that no model makes, a task may raise any kind
            self._refused(group, f"the answer does not fit ({error})")
            return
        self._refused_in_a_row = 0
        d = reply.durations
        link_s = max(0.0, answer.received_s - group.sent_s - d.queue_s - d.decode_s - d.suffix_s)
        times = Times(link_s, d.queue_s, d.decode_s, d.suffix_s)
        self._finish(group, outputs, "cloud", times, answer.size_bytes, answers)

    def _refused(self, group: FrameGroup, why: str, busy: bool = False) -> None:
        """Finish a refused group on the device; log one warning per reason, not one per frame."""
        consequence = "finished on the device" if self.chain.complete else "not answered"
        known = why in self._refusals or len(self._refusals) >= MOST_REASONS
        log.log(logging.DEBUG if known else logging.WARNING, "%s; %s", why, consequence)
        if not known:
            self._refusals.add(why)
        self._finish_here(group)
        self._refused_in_a_row += (
            self.deadline_s is None and not busy
        )  # a tight deadline or a full cloud refuses frames too
        if self._refused_in_a_row >= MOST_REFUSALS and self._uplink.open and self.chain.complete:
            self._refused_in_a_row = 0
            lost = self._uplink.lose(LinkLost(f"the cloud refused {MOST_REFUSALS} frames in a row"))
            self._unanswered(lost.groups, lost.error)

    def _finish_here(self, group: FrameGroup) -> None:
        """Run the stages after the cut on the device, if it holds them, from the values already computed."""
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

    def _finish(
        self,
        group: FrameGroup,
        outputs: Mapping[str, Array],
        by: str,
        times: Times,
        received: int,
        answers: Answers | None = None,
    ) -> None:
        self.state.after(outputs)
        missed = perf_counter() > group.deadline_s
        answers = self._replies.answers_here(group, outputs) if answers is None else answers
        for result in self._replies.results(group, outputs, answers, by, times, received, missed):
            self._done[result.id] = result
