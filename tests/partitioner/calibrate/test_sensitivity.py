"""Where errors in an activation change the model's answer."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.linear import smooth_frames

from partway.partitioner.calibrate import sensitivity
from partway.partitioner.calibrate.sensitivity import LEAST_FRAMES, Response, groups_of, measured_sensitivity
from partway.proto.codecs.transform.dct_klt import Basis, bands

Array = np.ndarray[Any, Any]
SHAPE = (3, 8, 8)
PLAIN = Basis("NCHW", SHAPE, np.zeros(3, np.float32), None)


@pytest.fixture(scope="module")
def samples() -> Array:
    """Smooth frames [n, *SHAPE]."""
    return np.concatenate(smooth_frames(6, SHAPE))


def linear(weights: Array) -> Response:
    """A model that answers with matrix products of what it reads."""
    return lambda decoded, _: decoded.reshape(len(decoded), -1).astype(np.float64) @ weights


def weights_of(channels: tuple[float, ...], outputs: int = 4) -> Array:
    """Random weights, channel by channel as strong as told."""
    drawn = np.random.default_rng(2).standard_normal((*SHAPE, outputs))
    return (drawn * np.array(channels)[:, None, None, None]).reshape(-1, outputs)


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_band_has_a_group_and_groups_rise(height: int, width: int) -> None:
    """From 0 without a gap, one entry a band."""
    groups = groups_of(height, width)
    assert len(groups) == int(bands(height, width).max()) + 1
    assert groups[0] == 0
    assert set(np.diff(groups.astype(int))) <= {0, 1}


def test_a_channel_that_is_not_read_costs_nothing(samples: Array) -> None:
    """And one that counts ten times as much costs a hundred times as much, in squares."""
    found = measured_sensitivity(PLAIN, samples, linear(weights_of((0.0, 1.0, 10.0))), lambda values: values)
    assert found is not None
    costs = np.trace(found, axis1=1, axis2=2), found[:, 0, 0], found[:, 1, 1], found[:, 2, 2]
    np.testing.assert_allclose(costs[1], 0.0, atol=1e-9 * costs[0].max())
    assert 20 < costs[3].sum() / costs[2].sum() < 500


def test_costs_are_symmetric_and_never_negative(samples: Array) -> None:
    """They are the mean of J'J."""
    found = measured_sensitivity(PLAIN, samples, linear(weights_of((1.0, 2.0, 3.0))), lambda values: values)
    assert found is not None
    np.testing.assert_allclose(found, found.transpose(0, 2, 1), rtol=1e-6, atol=1e-12)
    assert all(np.linalg.eigvalsh(one).min() >= -1e-9 * np.trace(one) for one in found)
    assert found.shape == (int(groups_of(8, 8)[-1]) + 1, 3, 3)


def test_what_raises_all_answers_alike_is_no_change(samples: Array) -> None:
    """Softmax would take it away."""
    alike = np.repeat(weights_of((1.0, 1.0, 1.0), 1), 4, axis=1)
    found = measured_sensitivity(PLAIN, samples, linear(alike), lambda values: values)
    assert found is not None
    assert np.abs(found).max() < 1e-12 * np.square(alike).sum()


def test_rounding_can_swallow_the_noise(samples: Array) -> None:
    """Errors that decoding rounds away cost nothing."""
    still = lambda values: np.broadcast_to(samples[0], values.shape)  # noqa: E731 - one line reads best
    found = measured_sensitivity(PLAIN, samples[:1].repeat(LEAST_FRAMES, 0), linear(weights_of((1.0, 1.0, 1.0))), still)
    assert found is not None
    assert np.abs(found).max() < 1e-9


def test_answers_that_are_no_numbers_tell_nothing(samples: Array) -> None:
    """A model that overflows is not measured_sensitivity."""
    broken: Response = lambda decoded, _: np.full((len(decoded), 4), np.inf)  # noqa: E731 - one line reads best
    with np.errstate(invalid="ignore"):
        assert measured_sensitivity(PLAIN, samples, broken, lambda values: values) is None


def test_too_few_frames_are_not_tried(samples: Array) -> None:
    """Nor a tensor whose trials would take too long."""
    response = linear(weights_of((1.0, 1.0, 1.0)))
    assert measured_sensitivity(PLAIN, samples[: LEAST_FRAMES - 1], response, lambda values: values) is None


def test_a_slow_model_is_not_tried(samples: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first answers show that all of it would take longer than the limit."""
    monkeypatch.setattr(sensitivity, "MOST_S", 1e-12)
    assert measured_sensitivity(PLAIN, samples, linear(weights_of((1.0, 1.0, 1.0))), lambda values: values) is None
