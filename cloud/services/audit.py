"""Audits of lossy codecs: frames that arrive both coded and exact are answered both ways and compared.

A device sends a random share of its frames both ways (``edge-run --audit 1%``). The results are counted here for
operators and sent to the device, which withdraws a codec whose answers agree too rarely.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from partway.cloud.answer import FrameRefused, Route, Router
from partway.cloud.models.repository import ServedModel
from partway.errors import InputError, WireError
from partway.partitioner.calibrate.agreement import Answers
from partway.partitioner.calibrate.fit_split import cosine, relative_error
from partway.partitioner.decide.candidates import lossless
from partway.partitioner.plan.answer import AnswerReader
from partway.proto.codecs.packing import unpack
from partway.proto.frame import Frame, Reply, decode_request

Array = np.ndarray[Any, Any]
Which = tuple[str, int, str]
"""Model, split, codec."""
ROUNDING = 1e-9
Answer = Callable[[Route, Frame, object], Awaitable[Reply]]
"""Answers a frame of a device, queued like any other. Raises FrameRefused."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``frames`` samples were compared by the model's task, with the mean agreement ``agreement / weight``, 0 to 1.

    Samples in which neither answer holds anything, for example a box, do not count. ``weight`` is how many things the
    samples hold, and ``agreed`` the mean agreement times ``frames``, rounded down. Without ``classifies`` the task
    compared nothing, because the suffix does not make all outputs. ``relative_error`` and ``cosine`` are of all
    outputs together.
    """

    frames: int
    agreed: int
    classifies: bool
    relative_error: float
    cosine: float
    agreement: float
    weight: float


@dataclass(frozen=True, slots=True)
class Count:
    """The sums over all audits of one codec at one split."""

    audits: int = 0
    frames: int = 0
    agreed: float = 0.0
    relative_error: float = 0.0


class CodecAuditor:
    """Compares answers, and counts the results by model, split and codec."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self._router = Router(models)
        self._lock = threading.Lock()
        self._counts: dict[Which, Count] = {}

    def counts(self) -> dict[Which, Count]:
        """All current counts."""
        with self._lock:
            return dict(self._counts)

    async def compare(self, coded: bytes, exact: bytes, answer: Answer) -> Verdict:
        """Answer both frames and compare. Raises FrameRefused unless they are one frame, coded and exact."""
        try:
            coded_frame, exact_frame = decode_request(coded), decode_request(exact)
            routes = self._router.route(coded_frame.header), self._router.route(exact_frame.header)
            _check(coded_frame, exact_frame, *routes)
            device = object()
            pairs = zip(routes, (coded_frame, exact_frame), strict=True)
            replies = [await answer(route, frame, device) for route, frame in pairs]
            verdict = _compared(routes[0], *(_outputs(routes[0], reply) for reply in replies))
        except (WireError, InputError) as error:
            raise FrameRefused("INVALID_ARGUMENT", str(error)) from error
        self._count((routes[0].model.plan.model, routes[0].k, routes[0].codec), verdict)
        return verdict

    def _count(self, which: Which, verdict: Verdict) -> None:
        with self._lock:
            old = self._counts.get(which, Count())
            self._counts[which] = replace(
                old,
                audits=old.audits + 1,
                frames=old.frames + verdict.frames,
                agreed=old.agreed + verdict.frames * verdict.agreement / (verdict.weight or 1.0),
                relative_error=old.relative_error + verdict.relative_error,
            )


def _check(coded_frame: Frame, exact_frame: Frame, coded: Route, exact: Route) -> None:
    if coded_frame.id != exact_frame.id or coded.model is not exact.model or coded.k != exact.k:
        raise FrameRefused("INVALID_ARGUMENT", "an audit needs one frame twice: same id, model and split")
    if not lossless(exact.k, exact.codec):
        raise FrameRefused("INVALID_ARGUMENT", f"an audit needs exact values beside the coded ones, not {exact.codec}")


def _outputs(route: Route, reply: Reply) -> dict[str, Array]:
    tensors = route.model.plan.tensors
    pairs = zip(reply.frame.header.tensors, reply.frame.raw, strict=True)
    return {head.name: unpack(head, data, tensors[head.name]) for head, data in pairs}


def _compared(route: Route, coded: Mapping[str, Array], exact: Mapping[str, Array]) -> Verdict:
    plan, names = route.model.plan, sorted(exact)
    rows = [len(outputs[names[0]]) for outputs in (coded, exact)] if route.model.batched and names else [1, 1]
    if sorted(coded) != names or rows[0] != rows[1] or any(_misfit(coded[name], exact[name]) for name in names):
        raise FrameRefused("INVALID_ARGUMENT", "an audit needs one frame twice; these differ in samples or outputs")
    errors = relative_error(coded, exact, names), cosine(coded, exact, names)
    if not set(plan.outputs) <= set(exact):
        return Verdict(rows[0], rows[0], False, *errors, float(rows[0]), float(rows[0]))
    right, found = (_frames(outputs, rows[0]) for outputs in (exact, coded))
    kept = Answers(AnswerReader(plan), right).agreement(found)
    agreed = int(kept.frames * (kept.mean or 0.0) + ROUNDING)
    return Verdict(kept.frames, agreed, True, *errors, kept.total, kept.weight)


def _misfit(coded: Array, exact: Array) -> bool:
    """Whether these cannot be answers to one frame. A detector may give another number of boxes."""
    return coded.dtype != exact.dtype or coded.ndim != exact.ndim


def _frames(outputs: Mapping[str, Array], count: int) -> list[Mapping[str, Array]]:
    if count == 1:
        return [outputs]
    return [{name: array[at : at + 1] for name, array in outputs.items()} for at in range(count)]
