"""The result of one frame: its answer, and how long each part took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, isfinite
from typing import Any

import numpy as np

from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
TOP = 3
NOBODY = "nobody"
"""``answered_by`` of a frame that neither the cloud nor the device answered."""
PARTS = ("read_s", "waited_s", "prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s")
"""The parts that add up to total_s."""
FEW = 64
"""Below this many classes plain Python sorts faster than numpy."""


@dataclass(frozen=True, slots=True)
class FrameResult:
    """One frame's answer and times. The parts do not overlap; their sum ``total_s`` runs from arrival to answer.

    ``read_s`` is decoding, scaling and making tensors; ``waited_s`` is waiting before processing; ``link_s`` is from
    sending to result without the cloud's own time. ``answered_by`` is ``cloud``, ``device`` or, without ``outputs``,
    NOBODY; ``missed`` means that the answer came after the deadline.
    """

    id: int
    name: str
    cut: int
    codec: str | None
    bytes_sent: int
    bytes_received: int
    prefix_s: float
    encode_s: float
    link_s: float
    queue_s: float
    decode_s: float
    suffix_s: float
    total_s: float
    answered_by: str
    outputs: Mapping[str, Array] = field(repr=False)
    top: tuple[tuple[str, int, float], ...] = ()
    missed: bool = False
    read_s: float = 0.0
    waited_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The frame as ``edge-run --json`` writes it."""
        return {
            "id": self.id,
            "name": self.name,
            "cut": self.cut,
            "codec": self.codec,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            **{part: getattr(self, part) for part in (*PARTS, "total_s")},
            "answered_by": self.answered_by,
            "missed": self.missed,
            "top": [
                {"label": label, "index": index, "probability": p if isfinite(p) else None}
                for label, index, p in self.top
            ],
        }


class Reader:
    """Reads a classifier's answer as the plan's ``output`` entry describes; other models have no ``top``.

    ``tensors`` describes the outputs, among them the quantization of integer outputs.
    """

    def __init__(
        self, output: Mapping[str, Any], names: tuple[str, ...], tensors: Mapping[str, TensorSpec] | None = None
    ) -> None:
        self._value = str(output.get("value", names[0]))
        spec = (tensors or {}).get(self._value)
        self._quantization = spec.quantization if spec is not None else None
        self._classifies = output.get("kind") == "classify"
        self._softmax = bool(output.get("softmax", False))
        self._labels = [str(label) for label in output.get("labels", ())]

    def top(self, outputs: Mapping[str, Array]) -> tuple[tuple[str, int, float], ...]:
        """The likeliest classes: label, index, probability."""
        if not self._classifies or self._value not in outputs:
            return ()
        scores = np.asarray(outputs[self._value], np.float64).reshape(-1)
        if self._quantization is not None and len(self._quantization.scales) == 1:
            scores = self._quantization.scales[0] * (scores - self._quantization.zero_points[0])
        if len(scores) < FEW:
            values: list[float] = scores.tolist()
            if self._softmax:
                values = _softmax(values)
            likeliest = sorted(range(len(values)), key=values.__getitem__, reverse=True)[:TOP]
        else:
            if self._softmax:
                scores = np.exp(scores - scores.max())
                scores = scores / scores.sum()
            values, likeliest = scores.tolist(), np.argsort(-scores, kind="stable")[:TOP].tolist()
        return tuple([(self._label(i), i, values[i]) for i in likeliest])  # among equals the first wins, as in argmax

    def _label(self, index: int) -> str:
        return self._labels[index] if index < len(self._labels) else str(index)


def _softmax(scores: list[float]) -> list[float]:
    most = max(scores)
    shares = [exp(score - most) for score in scores]
    total = sum(shares)
    return [share / total for share in shares]
