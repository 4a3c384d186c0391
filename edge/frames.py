"""One frame's life as data: what it took, part by part, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from math import isfinite
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
TOP = 3
NOBODY = "nobody"
"""Who answered a frame that the cloud did not and the device cannot."""
FEW = 64
"""Below this many classes plain Python sorts faster than numpy."""


@dataclass(frozen=True, slots=True)
class FrameResult:
    """A frame. Parts in seconds do not overlap; ``link_s`` is send to result less the cloud's own.

    ``answered_by`` is ``cloud``, ``device`` or, without ``outputs``, NOBODY; ``missed`` says that the deadline was.
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

    def to_json(self) -> dict[str, Any]:
        """The frame as ``edge-run --json`` writes it."""
        parts = ("prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s", "total_s")
        return {
            "id": self.id,
            "name": self.name,
            "cut": self.cut,
            "codec": self.codec,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            **{part: getattr(self, part) for part in parts},
            "answered_by": self.answered_by,
            "missed": self.missed,
            "top": [
                {"label": label, "index": index, "probability": p if isfinite(p) else None}
                for label, index, p in self.top
            ],
        }


class Reader:
    """Reads a classifier's answer as the plan's ``output`` entry says; other models have no ``top``."""

    def __init__(self, output: Mapping[str, Any], names: tuple[str, ...]) -> None:
        self._value = str(output.get("value", names[0]))
        self._classifies = output.get("kind") == "classify"
        self._softmax = bool(output.get("softmax", False))
        self._labels = [str(label) for label in output.get("labels", ())]

    def top(self, outputs: Mapping[str, Array]) -> tuple[tuple[str, int, float], ...]:
        """The likeliest classes: label, index, probability."""
        if not self._classifies or self._value not in outputs:
            return ()
        scores = np.asarray(outputs[self._value], np.float64).reshape(-1)
        if self._softmax:
            scores = np.exp(scores - scores.max())
            scores = scores / scores.sum()
        values: list[float] = scores.tolist()
        likeliest = (
            nlargest(TOP, range(len(values)), values.__getitem__) if len(values) < FEW else np.argsort(-scores)[:TOP]
        )
        return tuple((self._label(int(i)), int(i), values[i]) for i in likeliest)

    def _label(self, index: int) -> str:
        return self._labels[index] if index < len(self._labels) else str(index)
