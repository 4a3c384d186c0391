"""The candidates of a plan: from measured codecs where available, else from the sizes of tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.image import is_image_codec, is_lossless_image
from partway.proto.codecs.registry import RAW, is_lossless, packs

HARDLY = 1.25
"""Up to this ratio two coding times count as equal: the measurement is no more exact."""
FRAME_OVERHEAD_BYTES = 160
"""Bytes of a message besides the activation: names, shape, digest, split, codec (measured on the shipped model)."""
FP16_HEADER_BYTES = 41
"""Bytes of the header before a tensor in half precision, measured on the same model."""


def plan_candidates(plan: Plan) -> list[Candidate]:
    """Every candidate of a plan, all on the device last.

    A split without an entry in ``plan.candidates`` gets ``raw`` and, where it packs, ``fp16``, with the tensors' sizes
    and no coding time. Raises InputError when an entry is damaged.
    """
    recorded = [_recorded(plan, entry) for entry in plan.candidates]
    recorded_splits = {candidate.k for candidate in recorded}
    by_size = [
        candidate for k in range(len(plan.stages)) if k not in recorded_splits for candidate in _by_size(plan, k)
    ]
    sending = sorted((*recorded, *by_size), key=lambda candidate: candidate.k)
    return [*sending, Candidate(len(plan.stages), None)]


def candidate_name(candidate: Candidate, plan: Plan, whole: bool = False) -> str:
    """A candidate in words: ``split 2 at pool5 (fp16)``, ``all in the cloud (webp75)``, ``all on the device``.

    ``whole``: with the whole names of values, for programs.
    """
    if candidate.codec is None:
        return "all on the device"
    if candidate.k == 0:
        return f"all in the cloud ({candidate.codec})"
    at = str(plan.cuts[candidate.k]) if whole else plan.cut_names[candidate.k]
    return f"split {candidate.k} at {at} ({candidate.codec})"


def short_name(candidate: Candidate) -> str:
    """The same in a few letters, for charts: ``split 2, fp16``, ``cloud, webp75``, ``device``."""
    if candidate.codec is None:
        return "device"
    return f"cloud, {candidate.codec}" if candidate.k == 0 else f"split {candidate.k}, {candidate.codec}"


def _recorded(plan: Plan, entry: Mapping[str, Any]) -> Candidate:
    try:
        k, codec = int(entry["k"]), str(entry["codec"])
        size, encode_s, decode_s = (float(entry[key]) for key in ("bytes_mean", "encode_s", "decode_s"))
        agreement = kept_share(entry)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"a candidate of the plan is damaged ({error!r}); write it again with `partway plan`"
        ) from error
    numbers = (size, encode_s, decode_s, agreement or 0.0)
    if not 0 <= k < len(plan.stages) or not all(0 <= number < math.inf for number in numbers):
        raise InputError(f"candidate {codec} at split {k} is damaged; write the plan again with `partway plan`")
    size_bytes = round(size) + FRAME_OVERHEAD_BYTES
    return Candidate(k, codec, size_bytes, reply_bytes(plan, k), encode_s, decode_s, lossless(k, codec), agreement)


def _by_size(plan: Plan, k: int) -> list[Candidate]:
    specs = plan.crossing(k)
    sizes = {RAW: sum(spec.size_bytes() for spec in specs)}
    coded = plan.coded(k)
    if any(packs("fp16", spec) for spec in coded):
        sizes["fp16"] = sum(
            spec.elements() * 2 + FP16_HEADER_BYTES if packs("fp16", spec) and spec in coded else spec.size_bytes()
            for spec in specs
        )
    return [
        Candidate(k, codec, size + FRAME_OVERHEAD_BYTES, reply_bytes(plan, k), lossless=lossless(k, codec))
        for codec, size in sizes.items()
    ]


def reply_bytes(plan: Plan, k: int = 0) -> int:
    """Bytes of an answer: the model's outputs, batch of one, and what the message holds besides.

    State that the first ``k`` stages make stays on the device.
    """
    kept = {spec.name for stage in plan.stages[:k] for spec in stage.outputs} & plan.state_values
    return sum(plan.tensors[name].size_bytes() for name in plan.outputs if name not in kept) + FRAME_OVERHEAD_BYTES


def lossless(k: int, codec: str) -> bool:
    """Whether decoding gives back identical values."""
    return is_lossless_image(codec) if k == 0 and is_image_codec(codec) else is_lossless(codec)


def kept_share(entry: Mapping[str, Any]) -> float | None:
    """The share of the answers a codec keeps, 0 to 1, which ``max_drop`` limits; None when unknown.

    It is the agreement with the unsplit model by the model's task. With known labels it is at least one minus the drop
    in accuracy and its standard error (of a paired comparison: only frames with changed answers count). Without an
    agreement, as in older plans of models that do not classify, it is one minus the mean relative error of the outputs.
    """
    if entry.get("agreement") is None:
        error = entry.get("relative_error")
        return None if error is None else max(0.0, 1 - float(error))
    agreement = float(entry["agreement"])
    accuracy, unsplit = entry.get("accuracy"), entry.get("accuracy_unsplit")
    if accuracy is None or unsplit is None:
        return agreement
    drop = max(0.0, float(unsplit) - float(accuracy))  # answers that noise corrects by chance do not count
    error = math.sqrt(max(0.0, 1 - agreement - drop**2) / max(1, int(entry["frames"])))
    return min(1.0, max(agreement, 1 - drop - error))


def mean_bytes(entry: Mapping[str, Any], otherwise: int) -> int:
    """Bytes of a mean frame as calibration saw it, those of one message where it did not."""
    mean = entry.get("bytes_mean")
    return otherwise if mean is None else round(float(mean)) + FRAME_OVERHEAD_BYTES


def worthwhile(plan: Plan, k: int) -> list[str]:
    """Calibrated codecs at split k, smallest first, without those that another beats in bytes, answers and time."""
    mine = [_Measured.of(k, entry) for entry in plan.candidates if entry.get("k") == k]
    unbeaten = [one for one in mine if not any(other.beats(one) for other in mine)]
    return [one.codec for one in sorted(unbeaten, key=lambda one: one.size_bytes)]


@dataclass(frozen=True, slots=True)
class _Measured:
    """A codec in calibration; ``agreement`` is None where answers were not compared."""

    codec: str
    size_bytes: float
    agreement: float | None
    coding_s: float

    @classmethod
    def of(cls, k: int, entry: Mapping[str, Any]) -> _Measured:
        codec, share = str(entry["codec"]), kept_share(entry)
        agreement = 1.0 if lossless(k, codec) else share
        coding_s = float(entry.get("encode_s", 0.0)) + float(entry.get("decode_s", 0.0))
        return cls(codec, float(entry.get("bytes_mean", 0)), agreement, coding_s)

    def beats(self, other: _Measured) -> bool:
        """Sends less, keeps as many answers, and is hardly slower."""
        if self.agreement is None or other.agreement is None or self.agreement < other.agreement:
            return False
        smaller = (self.size_bytes, -self.agreement) < (other.size_bytes, -other.agreement)
        return smaller and self.coding_s <= other.coding_s * HARDLY
