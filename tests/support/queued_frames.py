"""Frames in a queue, before a model of four stages."""

from typing import Any

from partway.cloud.batching.scheduler import QueuedFrame

FOUR = (0.040, 0.030, 0.020, 0.010, 0.0)
"""Seconds of the suffixes of a model of four stages of 10 ms."""


def at(k: int, stage: int | None = None, model: str = "m", stream: object = None, **options: Any) -> QueuedFrame:
    """A frame that entered at cut k and stands before a stage."""
    made = QueuedFrame(model, stream or object(), k, **{"received_s": 0.0, "cost_s": FOUR[k], **options})
    made.stage = k if stage is None else stage
    return made
