"""The device's loop: prefix, encode, in flight (bounded), result; every frame answered exactly once, and in order.

Frames may travel in groups (``batch``), one request a group. A frame whose answer does not come in time is finished on
the device from its cut, and so are all frames in flight when the link is lost; what comes after runs on the device
until there is a cloud again. A device that holds only the first stages of the chain leaves those frames unanswered, and
says so in each.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from math import inf
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.answers import Answers, Times
from partway.edge.feed import Feed, Groups
from partway.edge.flight import Clouds, Group, InFlight, Watch, give_up_s
from partway.edge.frames import NOBODY, FrameResult
from partway.edge.packing import Packer
from partway.edge.sources import Sample
from partway.edge.stream import FrameStream, OnLost, OnReply
from partway.partitioner.chain import Chain
from partway.partitioner.estimate import Candidate
from partway.proto.codecs import RAW
from partway.proto.errors import LinkLost, WireError
from partway.proto.frame import Reply, decode_reply

log = logging.getLogger("partway.edge")

Array = np.ndarray[Any, Any]
STALL_S = 10.0
"""Patience where nothing is known of what a frame should take."""
LOST_S = 1.0
"""A cloud that is silent this long after a frame was given up is lost, if it is not expected to be that slow."""
HAND_OVER_S = 1e-3
"""A prefix that takes longer runs in a thread, so that replies are timed when they come."""
LOOK_S = 2e-3
"""To look for replies that are there already: a device that was busy or asleep does not blame the cloud."""
MOST_REFUSALS = 8
"""So many in a row, and the cloud is taken for lost: it may have another model by now."""


class OneCloud:
    """Clouds of which there is one, and no second chance."""

    def __init__(self, open_stream: Callable[[OnReply, OnLost], FrameStream] | None) -> None:
        self._open = open_stream

    def open(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream | None:
        """See Clouds."""
        return self._open(on_reply, on_lost) if self._open is not None else None

    def lost(self, error: LinkLost) -> None:
        """See Clouds."""
        self._open = None


class Runner:
    """Runs samples through one chain and, where a stream opens, a cloud. Not safe for use by several threads.

    ``clouds`` gives streams again after a loss; ``watch`` is told what happens and knows what frames should take.
    """

    def __init__(
        self,
        chain: Chain,
        packer: Packer,
        open_stream: Callable[[OnReply, OnLost], FrameStream] | None = None,
        window: int = 4,
        batch: int = 1,
        stall_s: float = STALL_S,
        clouds: Clouds | None = None,
        deadline_s: float | None = None,
        in_order: bool = True,
    ) -> None:
        self.chain, self.packer = chain, packer
        self.window, self.batch, self.stall_s = window, batch, stall_s
        self.watch = Watch()
        self.deadline_s, self.in_order = deadline_s, in_order
        self._stages = len(chain.plan.stages)
        self._answers = Answers(chain)
        self._events: deque[tuple[bytes, float] | LinkLost] = deque()
        self._longest_s: dict[int, float] = {}
        self._in_flight = InFlight()
        self._given_up: dict[int, Group] = {}
        self._silent_s = inf
        self._done: dict[int, FrameResult] = {}
        self._clouds = clouds or OneCloud(open_stream)
        self._stream: FrameStream | None = self._clouds.open(self._on_reply, self._events.append)
        self._refusals: set[str] = set()
        self._refused_in_a_row = 0
        self.lost: LinkLost | None = None

    def _on_reply(self, message: bytes, received_s: float) -> None:
        self._events.append((message, received_s))

    def run(
        self, samples: Iterable[Sample] | Feed, candidate: Callable[[], Candidate], first_id: int = 0
    ) -> Iterator[FrameResult]:
        """Answer every sample; results in order, or as they are answered where ``in_order`` is not wanted.

        ``candidate`` is asked before each group of ``batch`` frames.
        """
        source = Groups(samples, self.batch, self._wake)
        self._next_id = begun_id = first_id
        chosen: Candidate | None = None
        while True:
            while chosen is not None and self._full(chosen):
                self._wait()
                yield from self._ready()
            group = source.take(self._idle if self._in_flight else None)
            if group is None:
                break
            if group:
                self.watch.frame_id = begun_id
                chosen = candidate()
                self._begin(Group(begun_id, group, chosen, {}, source.came_s))
                begun_id += len(group)
            self._turn()
            yield from self._ready()
        while self._in_flight:
            self._wait()
            yield from self._ready()
        yield from self._ready()

    def _ready(self) -> Iterator[FrameResult]:
        """What may be handed out now."""
        while self._done and (not self.in_order or self._next_id in self._done):
            yield self._done.pop(self._next_id if self.in_order else next(iter(self._done)))
            self._next_id += 1

    def close(self) -> None:
        """End the stream; frames in flight are forgotten."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _full(self, candidate: Candidate) -> bool:
        count = len(self._in_flight)
        if not count:
            return False
        most = min(self.window, self.watch.window(candidate))
        return count >= most or self._in_flight.bytes + candidate.size_bytes * self.batch > self.watch.most_bytes()

    def _begin(self, group: Group) -> None:
        """Run the prefix and send what crosses, or run everything here."""
        if self.deadline_s is not None:
            group.deadline_s = group.begun_s + self.deadline_s
        candidate, samples = group.candidate, group.samples
        stream = self._stream if self._silent_s == inf or not self.chain.whole else None
        if candidate.codec is None or stream is None:
            self._answer_here(group)
            return
        k, codec = candidate.k, candidate.codec
        if self.packer.sends_pixels(k, codec) and any(sample.pixels is None for sample in samples):
            codec = RAW  # tensors among the pictures
            group.candidate = replace(candidate, codec=codec)
        begun_s = perf_counter()
        if not self.packer.sends_pixels(k, codec):
            group.live = self._run(lambda: self.chain.run(self.packer.tensors(samples), 0, k), k)
        group.prefix_s = perf_counter() - begun_s
        if k:
            self.watch.prefix(k, group.prefix_s / len(samples))
        self._send(group, stream)

    def _send(self, group: Group, stream: FrameStream) -> None:
        begun_s = perf_counter()
        candidate = group.candidate
        assert candidate.codec is not None
        left_s = None if group.deadline_s == inf else max(group.deadline_s - begun_s, 0.0)
        message = self.packer.frame(
            str(group.first_id), candidate.k, candidate.codec, group.samples, group.live, left_s
        )
        sent_s = perf_counter()
        if not group.resent:
            group.encode_s, group.sent_s = sent_s - begun_s, sent_s
        expected_s = self.watch.expected_s(candidate, self._in_flight.bytes)
        if expected_s is None:
            group.give_up_s = group.deadline_s
        else:
            finish_s = self.watch.finish_s(candidate.k) * len(group.samples) if self.chain.whole else None
            group.give_up_s = give_up_s(group.sent_s, group.deadline_s, expected_s, finish_s)
        group.bytes_sent = len(message)
        self._in_flight.add(group)
        stream.send(message)

    def _answer_here(self, group: Group) -> None:
        """All of it on the device, if it can and there is time left."""
        begun_s = perf_counter()
        if not self.chain.whole or begun_s > group.deadline_s:
            self._finish(group, {}, NOBODY, Times(), 0)
            return
        stages = self._stages
        live = self._run(lambda: self.chain.run(self.packer.tensors(group.samples), 0, stages), stages)
        group.prefix_s = perf_counter() - begun_s
        group.candidate = Candidate(stages, None)
        self.watch.prefix(stages, group.prefix_s / len(group.samples))
        self._finish(group, self.chain.answer(live), "device", Times(), 0)

    def _run(self, work: Callable[[], Mapping[str, Array]], k: int) -> Mapping[str, Array]:
        """Do the work of stages 0 to k; in a thread when replies may come and it is known to take longer than that."""
        begun_s = perf_counter()
        waiting = self._in_flight or self._given_up
        hand_over = self._stream is not None and waiting and self._longest_s.get(k, 0.0) > HAND_OVER_S
        live = self._stream.meanwhile(work) if hand_over and self._stream is not None else work()
        self._longest_s[k] = perf_counter() - begun_s
        return live

    def _idle(self, ready: Callable[[], bool]) -> None:
        """Nothing to begin yet: let replies come until there is."""
        if not ready():
            self._wait()

    def _wake(self) -> None:
        """Called by other threads: there is something to begin."""
        stream = self._stream
        if stream is not None:
            stream.wake()

    def _turn(self) -> None:
        """Between two frames: take what has come, give up what is overdue, and see whether there is a cloud again."""
        while self._events:
            self._handle(self._events.popleft())
        if self._stream is None:
            self._reopen()
            return
        if self._in_flight and perf_counter() >= self._in_flight.due_s():
            self._wait()
        elif self._silent_s < inf:
            self._listen()

    def _listen(self) -> None:
        """The cloud is silent: hear whether it speaks again, and for how long it has not."""
        if self._stream is not None and not self._events:
            self._stream.poll(LOOK_S / 2)
        while self._events:
            self._handle(self._events.popleft())
        silence_s = perf_counter() - self._silent_s
        expected = [self.watch.expected_s(group.candidate, 0) or 0.0 for group in self._given_up.values()]
        if silence_s > max(LOST_S, 4 * max(expected, default=0.0)):
            self._lose(LinkLost(f"no reply for {silence_s:.2g} s"))

    def _wait(self) -> None:
        """Until something happens: a reply, a loss, or a frame in flight is overdue."""
        begun_s = perf_counter()
        due_s = self._in_flight.due_s()
        if not self._events and self._stream is not None:
            self._stream.poll(max(due_s - begun_s, LOOK_S) if due_s < inf else self.stall_s)
        if self._events:
            self._handle(self._events.popleft())
            return
        now_s = perf_counter()
        if due_s == inf and now_s - begun_s >= self.stall_s:
            self._lose(LinkLost(f"no reply for {self.stall_s:g} s"))
        elif due_s <= now_s:
            self._overdue(now_s)

    def _overdue(self, now_s: float) -> None:
        """Replies come in order: what was sent after an overdue frame would only come later. All is finished here."""
        self._silent_s = min(self._silent_s, now_s)
        for group in self._in_flight:
            if group.give_up_s > now_s and not self.chain.whole:
                continue
            self.watch.given_up(group, now_s)
            self._in_flight.pop(group.first_id)
            self._given_up[group.first_id] = group
            self._finish_here(group)

    def _handle(self, event: tuple[bytes, float] | LinkLost) -> None:
        if isinstance(event, LinkLost):
            if self._stream is not None:
                self._lose(event)
            return
        message, received_s = event
        try:
            reply = decode_reply(message)
            first_id = int(reply.frame.id)
        except (WireError, ValueError):
            log.warning("a reply that cannot be read was dropped")
            return
        group = self._in_flight.pop(first_id)
        late = group or self._given_up.pop(first_id, None)
        if late is not None:
            self._silent_s = inf
            if not reply.error:
                self.watch.answered(late, reply.durations, received_s, len(message))
        if group is not None:
            self._answered(group, reply, received_s, len(message))

    def _answered(self, group: Group, reply: Reply, received_s: float, size: int) -> None:
        """Take the cloud's answer, or finish the frames here when it is none."""
        if reply.error:
            self._refused(group, f"the cloud refused ({reply.error})")
            return
        try:
            outputs = self._answers.outputs(group, reply, self.batch > 1)
        except (WireError, KeyError, ValueError) as error:
            self._refused(group, f"the answer does not fit ({error})")
            return
        self._refused_in_a_row = 0
        d = reply.durations
        link_s = max(0.0, received_s - group.sent_s - d.queue_s - d.decode_s - d.suffix_s)
        self._finish(group, outputs, "cloud", Times(link_s, d.queue_s, d.decode_s, d.suffix_s), size)

    def _refused(self, group: Group, why: str) -> None:
        """Said once for each reason, not once for each of thousands of frames."""
        then = "finished on the device" if self.chain.whole else "not answered"
        log.log(logging.DEBUG if why in self._refusals else logging.WARNING, "%s; %s", why, then)
        self._refusals.add(why)
        self._finish_here(group)

    def _finish_here(self, group: Group) -> None:
        """Run what is left from the cut on, where it is here: nothing that was computed is computed again."""
        begun_s = perf_counter()
        if not self.chain.whole or begun_s > group.deadline_s:
            self._finish(group, {}, NOBODY, Times(link_s=begun_s - group.sent_s), 0)
            return
        live = group.live or self.packer.tensors(group.samples)
        outputs = self.chain.answer(self.chain.run(live, group.candidate.k, self._stages))
        times = Times(link_s=begun_s - group.sent_s, suffix_s=perf_counter() - begun_s)
        self._finish(group, outputs, "device", times, 0)

    def _finish(self, group: Group, outputs: Mapping[str, Array], by: str, times: Times, received: int) -> None:
        missed = perf_counter() > group.deadline_s
        for result in self._answers.results(group, outputs, by, times, received, missed):
            self._done[result.id] = result

    def _lose(self, error: LinkLost) -> None:
        """Another cloud takes what is in flight, where one is at hand; else all of it is answered here."""
        self.lost = error
        self._silent_s = inf
        self._given_up.clear()
        self.close()
        self._clouds.lost(error)
        self.watch.lost(error)
        groups = list(self._in_flight)
        for group in groups:
            self._in_flight.pop(group.first_id)
        if not self._reopen():
            then = "continuing on the device" if self.chain.whole else "what is left goes unanswered"
            log.warning("%s; %s", error, then)
        for group in groups:
            if self._stream is not None and perf_counter() < group.give_up_s:
                group.resent = True
                self._send(group, self._stream)
            else:
                self._finish_here(group)

    def _reopen(self) -> bool:
        """Whether there is a stream again."""
        self._stream = self._clouds.open(self._on_reply, self._events.append)
        if self._stream is None:
            return False
        self.lost = None
        self._events.clear()
        self.watch.opened()
        return True
