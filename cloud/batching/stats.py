"""The counters of the batcher: plain numbers, for metrics and tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class BatchStats:
    """Counts since the start. Keys of a pair are (model, stage), where the stage is the first of the range that ran.

    ``frames``: answered frames. ``batches``: batches that ran, with ``rows`` samples in all; ``merged`` of them held
    frames that entered at different cuts. ``sizes``: batches by (model, stage, frames). ``inline``: frames that ran
    without a queue. ``refused``: frames refused because the queue was full. ``expired``: frames that waited past their
    deadline. ``cancelled``: frames that the device gave up before they ran. ``failed``: frames refused for their
    content. ``halved``: batches that did not fit into memory. ``queued``, ``queued_bytes``: frames that wait now.
    """

    frames: int = 0
    inline: int = 0
    batches: Counter[tuple[str, int]] = field(default_factory=Counter)
    rows: Counter[tuple[str, int]] = field(default_factory=Counter)
    merged: Counter[tuple[str, int]] = field(default_factory=Counter)
    sizes: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    refused: int = 0
    expired: int = 0
    cancelled: int = 0
    failed: int = 0
    halved: int = 0
    queued: int = 0
    queued_bytes: int = 0

    def ran(self, model: str, stage: int, cuts: list[int], rows: int) -> None:
        """Count a batch whose frames entered at these cuts."""
        self.batches[model, stage] += 1
        self.rows[model, stage] += rows
        self.merged[model, stage] += len(set(cuts)) > 1
        self.sizes[model, stage, len(cuts)] += 1
