"""The result of one frame: its answer, and how long each part took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from partway.tasks.classify import Classes
from partway.tasks.interface import Result
from partway.tasks.tensors import Tensors
from partway.units import encodable

Array = np.ndarray[Any, Any]
NOBODY = "nobody"
"""``answered_by`` of a frame that neither the cloud nor the device answered."""
PARTS = ("read_s", "waited_s", "prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s")
"""The parts that add up to total_s."""
OUTPUTS_FILE, PICTURE_FILE = "outputs_file", "picture_file"
"""The entries of ``files``, in JSON too."""


@dataclass(frozen=True, slots=True)
class FrameResult:
    """One frame's answer and times. The parts do not overlap; their sum ``total_s`` runs from arrival to answer.

    ``read_s`` is decoding, scaling and making tensors; ``waited_s`` is waiting before processing; ``link_s`` is from
    sending to result without the cloud's own time. ``answered_by`` is ``cloud``, ``device`` or, without ``outputs``,
    NOBODY; ``missed`` means that the answer came after the deadline. ``answer`` is what the model's task reads in
    ``outputs``, for example boxes; None without ``outputs``, or if the task cannot read them. ``picture`` is the
    original picture (a path, or uint8 RGB [height, width, 3]) if the source keeps it. ``files`` names the files that
    ``--save-outputs`` and ``--save-pictures`` write.
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
    answer: Result | None = None
    missed: bool = False
    read_s: float = 0.0
    waited_s: float = 0.0
    picture: Path | Array | None = field(default=None, repr=False, compare=False)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def top(self) -> tuple[tuple[str, int, float], ...]:
        """The likeliest classes of a classifier: label, index, probability. Empty for other tasks."""
        return self.answer.top if isinstance(self.answer, Classes) else ()

    def to_json(self) -> dict[str, Any]:
        """The frame as ``edge-run --json`` writes it."""
        return {
            "id": self.id,
            "name": encodable(self.name),
            "cut": self.cut,
            "codec": self.codec,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            **{part: getattr(self, part) for part in (*PARTS, "total_s")},
            "answered_by": self.answered_by,
            "missed": self.missed,
            "top": [],
            **self._answer_json(),
            **self.files,
        }

    def _answer_json(self) -> dict[str, Any]:
        """What the task reads. Values of tensors that are in a file are left out."""
        if self.answer is None:
            return {}
        if isinstance(self.answer, Tensors) and OUTPUTS_FILE in self.files:
            kinds = {n: {"dtype": a.dtype.name, "shape": list(a.shape)} for n, a in self.answer.outputs.items()}
            return {"outputs": kinds}
        return self.answer.to_json()
