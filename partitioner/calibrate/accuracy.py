"""Measure codecs on real frames: bytes, seconds, and how much of the answers a lossy codec keeps.

That is the agreement with the unsplit model's own answers by the model's task (see agreement.py) and, for classifiers
with labels, the share of right answers; the relative error and the cosine of the outputs stand beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from partway.partitioner.calibrate.agreement import Answers
from partway.partitioner.calibrate.fit_split import cosine, relative_error
from partway.partitioner.calibrate.logits import LastStage
from partway.partitioner.plan.answer import AnswerReader
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.plan.state import StreamState
from partway.proto.codecs.image import decode_image, encode_image, is_image_codec
from partway.proto.codecs.packing import pack, unpack
from partway.proto.codecs.registry import NO_BOOK, RAW, Codebook, codec_names, packs, picture_names

Array = np.ndarray[Any, Any]
NEAR = 0.2
"""The share of frames, those with the smallest margins, that count as close decisions."""


@dataclass(frozen=True, slots=True)
class CalibrationFrame:
    """One calibration input: the model's tensors, where it was a picture its pixels, and its right class if known."""

    values: Mapping[str, Array]
    pixels: Array | None = None
    label: int | None = None


@dataclass(frozen=True, slots=True)
class UnsplitAnswers:
    """The unsplit model's answer to every frame. ``classes`` is None for models that do not classify."""

    frames: Sequence[CalibrationFrame]
    answers: Sequence[Mapping[str, Array]]
    value: str | None
    exact: Answers
    """The answers as the model's task reads them."""
    scores: Sequence[Array] = ()
    """Before the softmax, where that is known; as many as frames."""

    @property
    def classes(self) -> list[int] | None:
        """The likeliest class of every frame."""
        value = self.value
        return None if value is None else [int(np.argmax(answer[value])) for answer in self.answers]

    @property
    def labels(self) -> list[int] | None:
        """The right class of every frame, None unless all are known."""
        labels = [frame.label for frame in self.frames if frame.label is not None]
        return labels if self.value is not None and len(labels) == len(self.frames) else None


@dataclass(frozen=True, slots=True)
class _CodecRun:
    """One frame encoded and decoded by one codec."""

    values: dict[str, Array]
    size_bytes: int
    encode_s: float
    decode_s: float


def in_sequence(chain: Chain, frames: Sequence[CalibrationFrame]) -> list[CalibrationFrame]:
    """The frames as one sequence: each with the state that the unsplit model has before it. Others stay as they are."""
    state, found = StreamState(chain.plan), []
    for frame in frames:
        found.append(replace(frame, values=state.before(frame.values)))
        if state:
            state.after(chain.answer(chain.run(found[-1].values, 0, len(chain.plan.stages))))
    return found


def unsplit_answers(
    chain: Chain, frames: Sequence[CalibrationFrame], last_stage: LastStage | None = None
) -> UnsplitAnswers:
    """Run every frame through the whole chain; with ``last_stage`` for the scores before the softmax as well."""
    value = chain.plan.output.get("value") if chain.plan.output.get("kind") == "classify" else None
    answers = [chain.answer(chain.run(frame.values, 0, len(chain.plan.stages))) for frame in frames]
    last = len(chain.plan.stages) - 1
    scores = [last_stage(chain.run(frame.values, 0, last)) for frame in frames] if last_stage and value else []
    return UnsplitAnswers(frames, answers, value, Answers(AnswerReader(chain.plan), answers), scores)


def codecs_of(plan: Plan, k: int, pictures: bool, book: Codebook = NO_BOOK) -> list[str]:
    """Every codec that makes sense at split k: activation codecs, and image codecs at split 0."""
    activation = [name for name in codec_names(book) if any(packs(name, s, book) for s in plan.coded(k))]
    activation = activation or [RAW]
    return [*activation, *(picture_names() if pictures and k == 0 and not plan.state else ())]


def measure_codec(
    chain: Chain,
    preprocess: Preprocess | None,
    unsplit: UnsplitAnswers,
    lives: Sequence[Mapping[str, Array]],
    k: int,
    codec: str,
    book: Codebook = NO_BOOK,
    last_stage: LastStage | None = None,
) -> dict[str, Any]:
    """One plan candidate, from the values alive at split k in every frame.

    ``bytes_mean``, ``bytes_p95``, ``encode_s``, ``decode_s`` (medians), ``frames``, ``relative_error`` and ``cosine``
    of the outputs (means), ``agreement`` by the model's task (None if no frame tells anything, for example without a
    box) and ``compared``, how many frames it is the mean of; with labels ``accuracy`` and ``accuracy_unsplit``; with
    ``last_stage`` and its scores ``agreement_expected``, see expected_agreement.
    A model with state runs the frames as a sequence, so that a codec's loss adds up in the state as it does in use.
    """
    last = len(chain.plan.stages) - 1
    state = StreamState(chain.plan)
    trips, answers, scores = [], [], []
    for frame, live in zip(unsplit.frames, lives, strict=True):
        at_cut = chain.run({**frame.values, **state.values}, 0, k) if state else live
        trip = _run_codec(chain.plan, preprocess, frame, at_cut, k, codec, book)
        before = {**at_cut, **chain.run({**at_cut, **trip.values}, k, last)}
        answers.append(chain.answer({**at_cut, **chain.run(before, last, last + 1)}))
        state.after(answers[-1])
        if last_stage is not None and unsplit.scores:
            scores.append(last_stage(before))
        trips.append((trip.size_bytes, trip.encode_s, trip.decode_s))
    expected = {"agreement_expected": expected_agreement(unsplit.scores, scores)} if scores else {}
    outputs = chain.plan.answers
    pairs = list(zip(answers, unsplit.answers, strict=True))
    sizes, encoding, decoding = zip(*trips, strict=True)
    return {
        "k": k,
        "codec": codec,
        "bytes_mean": statistics.fmean(sizes),
        "bytes_p95": float(np.percentile(sizes, 95)),
        "encode_s": statistics.median(encoding),
        "decode_s": statistics.median(decoding),
        "relative_error": statistics.fmean(relative_error(a, b, outputs) for a, b in pairs),
        "cosine": statistics.fmean(cosine(a, b, outputs) for a, b in pairs),
        **_agreements(answers, unsplit),
        **expected,
        "frames": len(unsplit.frames),
    }


def expected_agreement(right: Sequence[Array], found: Sequence[Array]) -> float:
    """The expected share of equal answers, estimated from the scores before the softmax to reduce sampling noise.

    An answer changes when the loss moves the scores by more than the margin between the two best classes. Among a few
    hundred frames the number of margins near 0 is random. The lowest fifth of all margins gives a steadier density,
    which is assumed to hold near 0 as well.
    """
    best = [np.argsort(one)[-2:] for one in right]
    margins = np.array([one[b] - one[a] for one, (a, b) in zip(right, best, strict=True)])
    moved = np.array([one[b] - one[a] for one, (a, b) in zip(found, best, strict=True)]) - margins
    near = float(np.quantile(margins, NEAR))
    return 1.0 if not moved.any() else max(0.0, 1 - NEAR * float(np.mean(np.minimum(abs(moved) / (near or 1), 1))) / 2)


def _agreements(answers: Sequence[Mapping[str, Array]], unsplit: UnsplitAnswers) -> dict[str, Any]:
    found = unsplit.exact.agreement(answers)
    entry: dict[str, Any] = {"agreement": found.mean, "compared": found.frames}
    right, labels, value = unsplit.classes, unsplit.labels, unsplit.value
    if labels is None or right is None or value is None:
        return entry
    classes = [int(np.argmax(answer[value])) for answer in answers]
    return entry | {"accuracy": _share(classes, labels), "accuracy_unsplit": _share(right, labels)}


def _share(found: Sequence[int], right: Sequence[int]) -> float:
    return statistics.fmean(a == b for a, b in zip(found, right, strict=True))


def _run_codec(
    plan: Plan,
    preprocess: Preprocess | None,
    frame: CalibrationFrame,
    live: Mapping[str, Array],
    k: int,
    codec: str,
    book: Codebook,
) -> _CodecRun:
    if k == 0 and codec != RAW and is_image_codec(codec) and preprocess is not None and frame.pixels is not None:
        begun_s = perf_counter()
        body = encode_image(codec, frame.pixels)
        encoded_s = perf_counter()
        values = {preprocess.value: preprocess.tensor(decode_image(codec, memoryview(body), preprocess.shape))}
        return _CodecRun(values, len(body), encoded_s - begun_s, perf_counter() - encoded_s)
    begun_s = perf_counter()
    state = plan.state_values
    packed = [
        (spec, *pack(RAW if spec.name in state else codec, spec.name, live[spec.name], book))
        for spec in plan.crossing(k)
    ]
    encoded_s = perf_counter()
    values = {spec.name: unpack(head, data, spec, book) for spec, head, data in packed}
    decoded_s = perf_counter()
    size = sum(len(data) for _, _, data in packed)
    return _CodecRun(values, size, encoded_s - begun_s, decoded_s - encoded_s)
