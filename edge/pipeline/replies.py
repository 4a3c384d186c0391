"""Turns replies into results: outputs of cloud and prefix, who answered, and how long each part took."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.edge.pipeline.in_flight import FrameGroup
from partway.edge.pipeline.result import FrameResult
from partway.edge.sources.files import Sample
from partway.errors import InputError, WireError
from partway.partitioner.plan.answer import AnswerReader
from partway.partitioner.plan.chain import Chain
from partway.proto.codecs.packing import RawLayout, raw_layout
from partway.proto.frame import Reply
from partway.proto.header import Header
from partway.proto.tensors import TensorSpec
from partway.tasks.interface import Geometry, Result

log = logging.getLogger("partway.edge")
Array = np.ndarray[Any, Any]
Answers = Sequence[Result | None]
"""What the task reads in the outputs of a group, one entry a frame."""


@dataclass(frozen=True, slots=True)
class Times:
    """The parts of a group's time from sending to result, in seconds."""

    link_s: float = 0.0
    queue_s: float = 0.0
    decode_s: float = 0.0
    suffix_s: float = 0.0


MOST_RETRY_S = 10.0
"""The longest wait after a refusal, even if the cloud asks for a longer one."""


def retry_s(reply: Reply) -> float:
    """Seconds that a full cloud asks the device to wait before it sends more frames; 0 if it does not ask."""
    hint = dict(reply.frame.header.parameters).get("partway.retry_ms", 0)
    return min(max(hint, 0) / 1e3, MOST_RETRY_S) if isinstance(hint, int) else 0.0


class ReplyDecoder:
    """Reads the replies of one plan's frames and makes results."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._reader = AnswerReader(chain.plan)
        self.task = self._reader.task
        self._answers = chain.plan.answers if chain.plan.state else ()
        self._specs: dict[str, TensorSpec] = {name: chain.plan.tensors[name] for name in chain.plan.outputs}
        self._layouts: dict[Header, RawLayout] = {}
        self._warned = False

    def outputs(self, group: FrameGroup, reply: Reply, grouped: bool) -> dict[str, Array]:
        """The outputs in the reply, and those that the prefix has computed already.

        Raises WireError, KeyError or ValueError when the answer does not fit; if ``grouped``, also when the number of
        frames differs.
        """
        outputs = {name: group.live[name] for name in self.chain.plan.outputs if name in group.live}
        outputs |= self._layout(reply.frame.header).read(reply.frame.raw)
        count = len(group.samples)
        if grouped and any(len(array) != count for array in outputs.values()):
            raise ValueError(f"expected the answers of {count} frames")
        return self.chain.answer(outputs)

    def _layout(self, header: Header) -> RawLayout:
        """The layout of answers with this header, checked against the plan once per header."""
        layout = self._layouts.get(header)
        if layout is None:
            layout = raw_layout(header.tensors, self._specs, least=0)
            if layout is None:
                raise WireError("the answer uses a codec, but answers must be raw")
            self._layouts[header] = layout
        return layout

    def answers(self, group: FrameGroup, outputs: Mapping[str, Array]) -> Answers:
        """What the task reads in these outputs. Raises what the task raises if it cannot read them."""
        count = len(group.samples)
        if not outputs:
            return [None] * count
        if self._answers:
            outputs = {name: outputs[name] for name in self._answers}
        return [
            self._reader.result(_of_frame(outputs, index, count), sample.geometry or self._tensor_geometry(sample))
            for index, sample in enumerate(group.samples)
        ]

    def _tensor_geometry(self, sample: Sample) -> Geometry | None:
        """The input itself as the picture, for a tensor of another size than the planned one; else None."""
        preprocess = self.chain.plan.preprocess
        if preprocess is None or sample.values is None or preprocess.value not in sample.values:
            return None
        shape = np.shape(sample.values[preprocess.value])
        height, width = shape[2:4] if preprocess.layout == "NCHW" else shape[1:3]
        if (height, width) == (preprocess.height, preprocess.width):
            return None
        return Geometry(width, height, width, height)

    def answers_here(self, group: FrameGroup, outputs: Mapping[str, Array]) -> Answers:
        """What the task reads in outputs that this device made, None where it cannot read them: warned once.

        Raises InputError if the plan's task does not fit the model, because then it fits no frame.
        """
        try:
            return self.answers(group, outputs)
        except InputError:
            raise
        except Exception as error:  # a task of another package may raise any kind
            if not self._warned:
                log.warning("task %s cannot read an answer (%r); such frames have outputs only", self.task.name, error)
            self._warned = True
            return [None] * len(group.samples)

    def results(
        self,
        group: FrameGroup,
        outputs: Mapping[str, Array],
        answers: Answers,
        answered_by: str,
        times: Times,
        received: int,
        missed: bool,
    ) -> Iterator[FrameResult]:
        """One result per frame, each with its share of the bytes and all of the time. Results hold no state."""
        count = len(group.samples)
        if self._answers and outputs:
            outputs = {name: outputs[name] for name in self._answers}
        ran_s = group.prefix_s + group.encode_s + times.link_s + times.queue_s + times.decode_s + times.suffix_s
        for index, sample in enumerate(group.samples):
            read_s = sample.read_s + group.tensors_s
            waited_s = max(0.0, group.started_s - group.arrived_s[index] - sample.read_s) if group.arrived_s else 0.0
            yield FrameResult(
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
                total_s=read_s + waited_s + ran_s,
                answered_by=answered_by,
                outputs=_of_frame(outputs, index, count),
                answer=answers[index],
                missed=missed,
                read_s=read_s,
                waited_s=waited_s,
                picture=sample.original,
            )


def _of_frame(outputs: Mapping[str, Array], index: int, count: int) -> Mapping[str, Array]:
    return outputs if count == 1 else {name: array[index : index + 1] for name, array in outputs.items()}
