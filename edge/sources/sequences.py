"""Sequences of frames, for models that keep state between frames: where one begins, and its first frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from partway.edge.sources.files import Item, Sample
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.state import StreamState


def first_of_sequence(sample: Sample, plan: Plan) -> Sample:
    """The sample with the initial state among its tensors, for measuring: such frames do not touch a stream's state.

    Without state between frames, the sample as it is.
    """
    state = StreamState(plan)
    if not state:
        return sample
    return replace(sample, pixels=None, values=state.before(sample.tensors(plan.preprocess)))


def as_sequence(items: Iterator[Item], plan: Plan) -> Iterator[Item]:
    """The frames of one input as a sequence: its first readable frame begins one. Without state, as they are."""
    return _Sequence().items(items) if plan.state else items


class _Sequence:
    """Marks the first frame that could be read."""

    def __init__(self) -> None:
        self._begins = True

    def items(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            yield replace(item, read=partial(self._read, item))

    def _read(self, item: Item) -> Sample:
        sample = item.read()
        begins, self._begins = self._begins, False
        return replace(sample, begins=True) if begins else sample
