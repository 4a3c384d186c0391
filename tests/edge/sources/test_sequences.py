"""Sequences of frames: where one begins, and its first frame."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tests.partitioner.plan.test_state import remembering_plan
from tests.support.affine import affine_chain, samples

from partway.edge.sources.files import Item, Sample
from partway.edge.sources.sequences import as_sequence, first_of_sequence
from partway.errors import InputError


def _items(count: int, broken: int = -1) -> Iterator[Item]:
    def read(index: int) -> Sample:
        if index == broken:
            raise InputError("cannot be read")
        return samples(count)[index]

    return iter([Item(str(index), lambda index=index: read(index)) for index in range(count)])  # type: ignore[misc]


def test_the_first_frame_of_an_input_begins_a_sequence() -> None:
    """Only the first."""
    assert [item.read().begins for item in as_sequence(_items(3), remembering_plan())] == [True, False, False]


def test_if_the_first_cannot_be_read_the_second_begins_it() -> None:
    """Else its state would be that of another input."""
    first, second, third = as_sequence(_items(3, broken=0), remembering_plan())
    with pytest.raises(InputError):
        first.read()
    assert (second.read().begins, third.read().begins) == (True, False)


def test_without_state_items_stay_as_they_are() -> None:
    """No frame begins anything."""
    items = _items(2)
    assert as_sequence(items, affine_chain().plan) is items


def test_a_frame_for_measuring_brings_the_initial_state() -> None:
    """So that it needs no stream, and touches none."""
    plan, (sample,) = remembering_plan(initial=bytes(range(8))), samples(1)
    first = first_of_sequence(sample, plan).tensors(None)
    assert np.array_equal(first["h"].ravel(), np.frombuffer(bytes(range(8)), "<i2"))
    assert first["x"] is sample.tensors(None)["x"]
    assert first_of_sequence(sample, replace(plan, state=())) is sample
