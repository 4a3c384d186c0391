"""The device's loop: prefix, encode, in flight (bounded), result; every frame answered exactly once, and in order.

Frames may travel in groups (``batch``), one request a group. When the link is lost, each frame in flight is finished on
the device from its cut, and so is everything after it. A device that holds only the first stages of the chain leaves
those frames unanswered, and says so in each.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.frames import NOBODY, FrameResult, Reader
from partway.edge.packing import Packer
from partway.edge.sources import Sample
from partway.edge.stream import FrameStream, OnLost, OnReply
from partway.partitioner.chain import Chain
from partway.partitioner.estimate import Candidate
from partway.proto.codecs import RAW, RawLayout, raw_layout
from partway.proto.errors import LinkLost, WireError
from partway.proto.frame import Header, Reply, decode_reply
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.edge")

Array = np.ndarray[Any, Any]
STALL_S = 10.0
HAND_OVER_S = 1e-3
"""A prefix that takes longer runs in a thread, so that replies are timed when they come."""


@dataclass(slots=True)
class _Group:
    """Frames that travel together, and all that is needed to finish them here. Times in seconds."""

    first_id: int
    samples: list[Sample]
    candidate: Candidate
    live: Mapping[str, Array]
    prefix_s: float
    encode_s: float
    sent_s: float
    bytes_sent: int


@dataclass(frozen=True, slots=True)
class _Times:
    """The parts of a group's time once it is answered."""

    link_s: float = 0.0
    queue_s: float = 0.0
    decode_s: float = 0.0
    suffix_s: float = 0.0


class Runner:
    """Runs samples through one chain and, where a stream opens, a cloud. Not safe for use by several threads."""

    def __init__(
        self,
        chain: Chain,
        packer: Packer,
        open_stream: Callable[[OnReply, OnLost], FrameStream] | None = None,
        window: int = 4,
        batch: int = 1,
        stall_s: float = STALL_S,
    ) -> None:
        self.chain, self.packer = chain, packer
        self.window, self.batch, self.stall_s = window, batch, stall_s
        self._stages = len(chain.plan.stages)
        self._reader = Reader(chain.plan.output, chain.plan.outputs, chain.plan.tensors)
        self._specs: dict[str, TensorSpec] = {name: chain.plan.tensors[name] for name in chain.plan.outputs}
        self._layouts: dict[Header, RawLayout] = {}
        self._events: deque[tuple[bytes, float] | LinkLost] = deque()
        self._longest_s: dict[int, float] = {}
        self._in_flight: dict[int, _Group] = {}
        self._done: dict[int, FrameResult] = {}
        self._stream = open_stream(self._on_reply, self._events.append) if open_stream else None
        self._refusals: set[str] = set()
        self.lost: LinkLost | None = None

    def _on_reply(self, message: bytes, received_s: float) -> None:
        self._events.append((message, received_s))

    def run(
        self, samples: Iterable[Sample], candidate: Callable[[], Candidate], first_id: int = 0
    ) -> Iterator[FrameResult]:
        """Answer every sample; results in order. ``candidate`` is asked before each group of ``batch`` frames."""
        source = iter(samples)
        next_id = begun_id = first_id
        while group := list(islice(source, self.batch)):
            while len(self._in_flight) >= self.window:
                self._wait()
            self._begin(begun_id, group, candidate())
            begun_id += len(group)
            while self._events:
                self._handle(self._events.popleft())
            while next_id in self._done:
                yield self._done.pop(next_id)
                next_id += 1
        while next_id < begun_id:
            if next_id in self._done:
                yield self._done.pop(next_id)
                next_id += 1
            else:
                self._wait()

    def close(self) -> None:
        """End the stream; frames in flight are forgotten."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _begin(self, first_id: int, samples: list[Sample], candidate: Candidate) -> None:
        local = candidate.codec is None or self._stream is None
        if local and not self.chain.whole:
            self._finish(_Group(first_id, samples, candidate, {}, 0.0, 0.0, 0.0, 0), {}, NOBODY, _Times(), 0)
            return
        k, codec = (self._stages, None) if local else (candidate.k, candidate.codec)
        if (
            codec is not None
            and self.packer.sends_pixels(k, codec)
            and any(sample.pixels is None for sample in samples)
        ):
            codec = RAW  # tensors among the pictures
            candidate = replace(candidate, codec=codec)
        begun_s = perf_counter()
        live: Mapping[str, Array] = {}
        if codec is None or not self.packer.sends_pixels(k, codec):
            live = self._prefix(samples, k)
        prefix_s = perf_counter() - begun_s
        if codec is None or self._stream is None:
            group = _Group(first_id, samples, Candidate(k, None), live, prefix_s, 0.0, 0.0, 0)
            self._finish(group, self.chain.answer(live), "device", _Times(), 0)
            return
        message = self.packer.frame(str(first_id), k, codec, samples, live)
        sent_s = perf_counter()
        encode_s = sent_s - begun_s - prefix_s
        self._in_flight[first_id] = _Group(first_id, samples, candidate, live, prefix_s, encode_s, sent_s, len(message))
        self._stream.send(message)

    def _prefix(self, samples: list[Sample], k: int) -> Mapping[str, Array]:
        """Run stages 0 to k; in a thread when frames are in flight and it is known to take longer than a hand-over."""
        begun_s = perf_counter()

        def work() -> Mapping[str, Array]:
            return self.chain.run(self.packer.tensors(samples), 0, k)

        hand_over = self._stream is not None and self._in_flight and self._longest_s.get(k, 0.0) > HAND_OVER_S
        live = self._stream.meanwhile(work) if hand_over and self._stream is not None else work()
        self._longest_s[k] = perf_counter() - begun_s
        return live

    def _wait(self) -> None:
        """Until something happens; a cloud that has said nothing for ``stall_s`` is taken for lost."""
        if not self._events and self._stream is not None:
            self._stream.poll(self.stall_s)
        self._handle(self._events.popleft() if self._events else LinkLost(f"no reply for {self.stall_s:g} s"))

    def _handle(self, event: tuple[bytes, float] | LinkLost) -> None:
        if isinstance(event, LinkLost):
            self._lose(event)
            return
        message, received_s = event
        try:
            reply = decode_reply(message)
            group = self._in_flight.pop(int(reply.frame.id), None)
        except (WireError, ValueError):
            log.warning("a reply that cannot be read was dropped")
            return
        if group is not None:
            self._answered(group, reply, received_s, len(message))

    def _answered(self, group: _Group, reply: Reply, received_s: float, size: int) -> None:
        """Take the cloud's answer, or finish the frames here when it is none."""
        if reply.error:
            self._refused(group, f"the cloud refused ({reply.error})")
            return
        try:
            outputs = self._outputs(group, reply)
        except (WireError, KeyError, ValueError) as error:
            self._refused(group, f"the answer does not fit ({error})")
            return
        d = reply.durations
        link_s = max(0.0, received_s - group.sent_s - d.queue_s - d.decode_s - d.suffix_s)
        self._finish(group, outputs, "cloud", _Times(link_s, d.queue_s, d.decode_s, d.suffix_s), size)

    def _refused(self, group: _Group, why: str) -> None:
        """Said once for each reason, not once for each of thousands of frames."""
        then = "finished on the device" if self.chain.whole else "not answered"
        log.log(logging.DEBUG if why in self._refusals else logging.WARNING, "%s; %s", why, then)
        self._refusals.add(why)
        self._finish_here(group)

    def _outputs(self, group: _Group, reply: Reply) -> dict[str, Array]:
        """What the cloud made, and the outputs that the prefix had made already. Raises on a wrong number of frames."""
        outputs = {name: group.live[name] for name in self.chain.plan.outputs if name in group.live}
        outputs |= self._layout(reply.frame.header).read(reply.frame.raw)
        count = len(group.samples)
        if self.batch > 1 and any(len(array) != count for array in outputs.values()):
            raise ValueError(f"not the answers of {count} frames")
        return self.chain.answer(outputs)

    def _layout(self, header: Header) -> RawLayout:
        """How to read answers with this header; checked against the plan once per header."""
        known = self._layouts.get(header)
        if known is None:
            known = raw_layout(header.tensors, self._specs, least=0)
            if known is None:
                raise WireError("answers are not coded")
            self._layouts[header] = known
        return known

    def _finish_here(self, group: _Group) -> None:
        """Run what is left from the cut on, where it is here: nothing that was computed is computed again."""
        begun_s = perf_counter()
        if not self.chain.whole:
            self._finish(group, {}, NOBODY, _Times(link_s=begun_s - group.sent_s), 0)
            return
        live = group.live or self.packer.tensors(group.samples)
        outputs = self.chain.answer(self.chain.run(live, group.candidate.k, self._stages))
        times = _Times(link_s=begun_s - group.sent_s, suffix_s=perf_counter() - begun_s)
        self._finish(group, outputs, "device", times, 0)

    def _finish(
        self, group: _Group, outputs: Mapping[str, Array], answered_by: str, times: _Times, received: int
    ) -> None:
        count = len(group.samples)
        total_s = group.prefix_s + group.encode_s + times.link_s + times.queue_s + times.decode_s + times.suffix_s
        for index, sample in enumerate(group.samples):
            own = outputs if count == 1 else {name: array[index : index + 1] for name, array in outputs.items()}
            self._done[group.first_id + index] = FrameResult(
                id=group.first_id + index,
                name=sample.name,
                cut=group.candidate.k,
                codec=group.candidate.codec,
                bytes_sent=group.bytes_sent // count,
                bytes_received=received // count,
                prefix_s=group.prefix_s,
                encode_s=group.encode_s,
                link_s=times.link_s,
                queue_s=times.queue_s,
                decode_s=times.decode_s,
                suffix_s=times.suffix_s,
                total_s=total_s,
                answered_by=answered_by,
                outputs=own,
                top=self._reader.top(own),
            )

    def _lose(self, error: LinkLost) -> None:
        """Answer everything in flight here; from now on nothing is sent."""
        then = "continuing on the device" if self.chain.whole else "what is left goes unanswered"
        log.warning("%s; %s", error, then)
        self.lost = error
        self.close()
        for group in list(self._in_flight.values()):
            self._finish_here(group)
        self._in_flight.clear()
