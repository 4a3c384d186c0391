"""The device's loop: prefix, encode, in flight (bounded), result; every frame answered exactly once, and in order.

When the link is lost, each frame in flight is finished on the device from its cut, and so is everything after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.frames import FrameResult, Reader
from partway.edge.packing import Packer
from partway.edge.sources import Sample
from partway.edge.transport import FrameStream, OnLost, OnReply
from partway.partitioner.chain import Chain
from partway.partitioner.estimate import Candidate
from partway.proto.codecs import RAW, unpack
from partway.proto.errors import LinkLost, WireError
from partway.proto.frame import Reply, decode_reply
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.edge")

Array = np.ndarray[Any, Any]
STALL_S = 10.0


@dataclass(slots=True)
class _InFlight:
    """A frame on its way: all that is needed to finish it here."""

    sample: Sample
    candidate: Candidate
    live: Mapping[str, Array]
    begun_s: float
    prefix_s: float
    encode_s: float
    sent_s: float
    bytes_sent: int


class Runner:
    """Runs samples through one chain and, where a stream opens, a cloud. Not safe for use by several threads."""

    def __init__(
        self,
        chain: Chain,
        packer: Packer,
        open_stream: Callable[[OnReply, OnLost], FrameStream] | None = None,
        window: int = 4,
        stall_s: float = STALL_S,
    ) -> None:
        self.chain, self.packer = chain, packer
        self.window, self.stall_s = window, stall_s
        self._stages = len(chain.plan.stages)
        self._reader = Reader(chain.plan.output, chain.plan.outputs)
        self._specs: dict[str, TensorSpec] = dict(chain.plan.tensors)
        self._events: SimpleQueue[tuple[bytes, float] | LinkLost] = SimpleQueue()
        self._in_flight: dict[int, _InFlight] = {}
        self._done: dict[int, FrameResult] = {}
        self._stream = open_stream(self._on_reply, self._events.put) if open_stream else None
        self.lost: LinkLost | None = None

    def _on_reply(self, message: bytes, received_s: float) -> None:
        self._events.put((message, received_s))

    def run(
        self, samples: Iterable[Sample], candidate: Callable[[], Candidate], first_id: int = 0
    ) -> Iterator[FrameResult]:
        """Answer every sample; results in order. ``candidate`` is asked before each frame."""
        next_id = first_id
        for frame_id, sample in enumerate(samples, first_id):
            while len(self._in_flight) >= self.window:
                self._wait()
            self._begin(frame_id, sample, candidate())
            self._drain()
            while next_id in self._done:
                yield self._done.pop(next_id)
                next_id += 1
        while self._in_flight or self._done:
            while next_id in self._done:
                yield self._done.pop(next_id)
                next_id += 1
            if self._in_flight:
                self._wait()

    def close(self) -> None:
        """End the stream; frames in flight are forgotten."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _begin(self, frame_id: int, sample: Sample, candidate: Candidate) -> None:
        if candidate.codec is None or self._stream is None:
            self._done[frame_id] = self._locally(frame_id, sample)
            return
        begun_s = perf_counter()
        live: Mapping[str, Array] = {}
        if not self.packer.sends_pixels(candidate.k, candidate.codec):
            live = self.chain.run(sample.tensors(self.packer.preprocess), 0, candidate.k)
        prefix_end_s = perf_counter()
        message = self.packer.frame(str(frame_id), candidate.k, candidate.codec, sample, live)
        sent_s = perf_counter()
        times = (begun_s, prefix_end_s - begun_s, sent_s - prefix_end_s, sent_s)
        self._in_flight[frame_id] = _InFlight(sample, candidate, live, *times, len(message))
        self._stream.send(message)

    def _locally(self, frame_id: int, sample: Sample) -> FrameResult:
        begun_s = perf_counter()
        live = self.chain.run(sample.tensors(self.packer.preprocess), 0, self._stages)
        outputs = self.chain.answer(live)
        total_s = perf_counter() - begun_s
        return FrameResult(
            frame_id, sample.name, self._stages, None, 0, 0, total_s, 0.0, 0.0, 0.0, 0.0, 0.0, total_s, "device", outputs,
            self._reader.top(outputs),
        )  # fmt: skip

    def _drain(self) -> None:
        while not self._events.empty():
            self._handle(self._events.get())

    def _wait(self) -> None:
        """Until something happens; a cloud that has said nothing for ``stall_s`` is taken for lost."""
        try:
            self._handle(self._events.get(timeout=self.stall_s))
        except Empty:
            self._handle(LinkLost(f"no reply for {self.stall_s:g} s"))

    def _handle(self, event: tuple[bytes, float] | LinkLost) -> None:
        if isinstance(event, LinkLost):
            self._lose(event)
            return
        message, received_s = event
        try:
            reply = decode_reply(message)
            frame_id = int(reply.frame.id)
        except (WireError, ValueError):
            log.warning("a reply that cannot be read was dropped")
            return
        flight = self._in_flight.pop(frame_id, None)
        if flight is None:
            return
        self._done[frame_id] = self._finished(frame_id, flight, reply, received_s, len(message))

    def _finished(self, frame_id: int, flight: _InFlight, reply: Reply, received_s: float, size: int) -> FrameResult:
        if not reply.error:
            try:
                return self._from_cloud(frame_id, flight, reply, received_s, size)
            except (WireError, KeyError) as error:
                log.warning("frame %d: the answer does not fit (%s); finished on the device", frame_id, error)
        else:
            log.warning("frame %d: the cloud refused (%s); finished on the device", frame_id, reply.error)
        return self._from_cut(frame_id, flight, size)

    def _from_cloud(self, frame_id: int, flight: _InFlight, reply: Reply, received_s: float, size: int) -> FrameResult:
        frame = reply.frame
        outputs = {name: flight.live[name] for name in self.chain.plan.outputs if name in flight.live}
        for head, data in zip(frame.header.tensors, frame.raw, strict=True):
            outputs[head.name] = unpack(head, data, self._specs[head.name])
        outputs = self.chain.answer(outputs)
        durations = reply.durations
        cloud_s = durations.queue_s + durations.decode_s + durations.suffix_s
        link_s = max(0.0, received_s - flight.sent_s - cloud_s)
        return FrameResult(
            frame_id, flight.sample.name, flight.candidate.k, flight.candidate.codec, flight.bytes_sent, size,
            flight.prefix_s, flight.encode_s, link_s, durations.queue_s, durations.decode_s, durations.suffix_s,
            flight.prefix_s + flight.encode_s + link_s + cloud_s, "cloud", outputs, self._reader.top(outputs),
        )  # fmt: skip

    def _from_cut(self, frame_id: int, flight: _InFlight, size: int) -> FrameResult:
        """Finish a frame here, from its cut on: nothing that was computed is computed again."""
        resumed_s = perf_counter()
        pixels_only = self.packer.sends_pixels(flight.candidate.k, flight.candidate.codec or RAW)
        live = flight.sample.tensors(self.packer.preprocess) if pixels_only else flight.live
        outputs = self.chain.answer(self.chain.run(live, flight.candidate.k, self._stages))
        end_s = perf_counter()
        return FrameResult(
            frame_id, flight.sample.name, flight.candidate.k, flight.candidate.codec, flight.bytes_sent, size,
            flight.prefix_s, flight.encode_s, resumed_s - flight.sent_s, 0.0, 0.0, end_s - resumed_s,
            end_s - flight.begun_s, "device", outputs, self._reader.top(outputs),
        )  # fmt: skip

    def _lose(self, error: LinkLost) -> None:
        """Answer everything in flight here; from now on nothing is sent."""
        log.warning("%s; continuing on the device", error)
        self.lost = error
        self.close()
        for frame_id, flight in sorted(self._in_flight.items()):
            self._done[frame_id] = self._from_cut(frame_id, flight, 0)
        self._in_flight.clear()
