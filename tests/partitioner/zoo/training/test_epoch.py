"""One epoch of training, and the measurement after it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.partitioner.zoo.training.checkpoint import PEAK_LEARNING_RATE, fresh_state
from partway.partitioner.zoo.training.data import Digits
from partway.partitioner.zoo.training.epoch import (
    WARM_UP,
    Course,
    evaluate,
    learning_rate,
    normalised,
    samples,
    train_epoch,
)


def digits(count: int) -> Digits:
    """Bars at ten heights, each height a class."""
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3 + 2 * label : 6 + 2 * label, 4:24] = 255
    return Digits(images, labels)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    """A line up to the peak, then half a cosine."""
    assert learning_rate(0.0) == 0.0
    assert learning_rate(WARM_UP / 2) == pytest.approx(PEAK_LEARNING_RATE / 2)
    assert learning_rate(WARM_UP) == pytest.approx(PEAK_LEARNING_RATE)
    assert learning_rate((1 + WARM_UP) / 2) == pytest.approx(PEAK_LEARNING_RATE / 2)
    assert learning_rate(1.0) == pytest.approx(0.0, abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_rate_turns_once(one: float, other: float) -> None:
    """It never falls before the peak, never rises after it, and stays between nothing and the peak."""
    low, high = sorted((one, other))
    rates = learning_rate(low), learning_rate(high)
    assert all(0 <= rate <= PEAK_LEARNING_RATE * (1 + 1e-9) for rate in rates)
    if high < WARM_UP:
        assert rates[0] <= rates[1]
    if low >= WARM_UP:
        assert rates[0] >= rates[1] - 1e-15


def test_digits_become_tensors_with_a_channel(torch: Any) -> None:
    """Pixels as they are, labels as whole numbers of 64 bits."""
    found = samples(digits(4), "cpu")
    assert (tuple(found.images.shape), found.images.dtype) == ((4, 1, 28, 28), torch.uint8)
    assert (found.labels.tolist(), found.labels.dtype) == ([0, 1, 2, 3], torch.int64)
    assert len(found) == 4


def test_white_and_black_are_where_the_network_wants_them(torch: Any) -> None:
    """The training images' mean becomes zero, one deviation one."""
    assert normalised(torch.tensor([0.1307, 0.1307 + 0.3081])).tolist() == pytest.approx([0.0, 1.0], abs=1e-6)


def test_a_network_that_is_sure_and_right_has_no_loss(torch: Any) -> None:
    """And one that is sure and wrong reads nothing right; sizes beyond one piece are counted whole."""
    test = samples(digits(1003), "cpu")

    class Sure(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, shift: int) -> None:
            super().__init__()
            self.shift = shift

        def forward(self, images: Any) -> Any:
            rows = images[:, 0, 3:23:2, 10] > 0
            return torch.nn.functional.one_hot((rows.float().argmax(1) + self.shift) % 10, 10) * 100.0

    loss, correct = evaluate(Sure(0), test)
    assert (correct, loss) == (1003, pytest.approx(0.0, abs=1e-6))
    loss, correct = evaluate(Sure(1), test)
    assert correct == 0
    assert loss == pytest.approx(100.0, rel=1e-4)


def test_an_epoch_learns_and_notes_what_it_came_to(torch: Any) -> None:
    """Every image counts once, the history grows by one, and the weights move, the smoothed ones as well."""
    state = fresh_state(3, "cpu")
    before = [{name: one.clone() for name, one in net.state_dict().items()} for net in (state.network, state.average)]
    train, test, seen = samples(digits(70), "cpu"), samples(digits(20), "cpu"), list[int]()
    train_epoch(state, Course(train, test, batch=32, epochs=1), seen.append)
    assert seen == [32, 32, 6]
    assert state.steps == 3
    (epoch,) = state.history
    assert epoch.train_loss > 0 and epoch.test_loss > 0 and epoch.duration_s > 0
    assert 0 <= epoch.test_accuracy <= 1
    for net, old in zip((state.network, state.average), before, strict=True):
        assert not torch.equal(net.state_dict()["conv1.weight"], old["conv1.weight"])
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_equal_seeds_train_alike(torch: Any) -> None:
    """To the last bit of the smoothed weights."""
    course = Course(samples(digits(20), "cpu"), samples(digits(10), "cpu"), batch=20, epochs=1)
    states = [fresh_state(seed, "cpu") for seed in (7, 7, 8)]
    for state in states:
        train_epoch(state, course, lambda _: None)
    first, again, other = (state.average.state_dict()["fc1.weight"] for state in states)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
