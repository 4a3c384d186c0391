"""The greedy_selection cuts that are chosen out of many."""

from hypothesis import given
from hypothesis import strategies as st

from partway.partitioner.cuts.selection import greedy_selection


def test_neighbours_that_hardly_differ_make_one_stage():
    """Three cuts of nearly the same bytes and work are not three stages."""
    assert greedy_selection([1000, 100, 99.9, 99.8, 10], [[0, 0.5, 0.501, 0.502, 0.9]], limit=5) == (1, 4)


def test_the_few_chosen_spare_most():
    """With room for one, the cut that saves most bytes over most of the model."""
    assert greedy_selection([1000, 900, 100, 90], [[0, 0.1, 0.3, 0.9]], limit=1) == (2,)


def test_no_candidates_and_no_room_choose_nothing() -> None:
    """Only the model's input, or a limit of none."""
    assert greedy_selection([1000], [[0.0]], limit=4) == ()
    assert greedy_selection([1000, 10], [[0.0, 0.1]], limit=0) == ()


def test_a_cut_that_saves_too_little_is_left_out() -> None:
    """A boundary costs time in every frame, so a cut that spares hardly anything does not pay."""
    assert greedy_selection([1000, 990], [[0.0, 0.5]], limit=4) == ()
    assert greedy_selection([1000, 500], [[0.0, 0.5]], limit=4) == (1,)


def test_a_cut_at_the_very_end_saves_the_device_nothing() -> None:
    """When the whole model is done before it, fewer bytes are of no use."""
    assert greedy_selection([1000, 1], [[0.0, 1.0]], limit=4) == ()


def test_every_measure_of_time_counts() -> None:
    """A cut that is late by arithmetic and early by memory traffic is judged by the mean of both."""
    late, early = [0.0, 0.99], [0.0, 0.1]
    assert greedy_selection([1000, 500], [late], limit=1) == ()
    assert greedy_selection([1000, 500], [late, early], limit=1) == (1,)


SHAPES = st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1)), max_size=10)


@given(SHAPES, st.integers(0, 6))
def test_the_choice_is_in_order_within_the_limit_and_stable(points: list[tuple[float, float]], limit: int) -> None:
    """Indices rise, none is the input's, at most ``limit``; a larger limit keeps all that a smaller one chose."""
    done = [0.0, *sorted(share for _, share in points)]
    sizes = [1e6, *(size for size, _ in points)]
    chosen = greedy_selection(sizes, [done], limit)
    assert list(chosen) == sorted(set(chosen))
    assert len(chosen) <= limit
    assert 0 not in chosen
    assert set(chosen) <= set(greedy_selection(sizes, [done], limit + 1))
