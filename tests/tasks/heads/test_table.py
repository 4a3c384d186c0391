"""The table of heads."""

import pytest

from partway.tasks.heads.table import HEADS


@pytest.mark.parametrize("name", HEADS)
def test_each_head_has_roles_and_thresholds(name: str) -> None:
    """And no other head's guesses: what it recognises, the table has."""
    head = HEADS[name]
    assert head.roles
    assert 0 < head.score < 1
    assert 0 < head.iou < 1
    assert head.recognise({}, (64, 64)) == []
