"""Transform coding fitted to one tensor: its basis, its steps and its statistics."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.linear import smooth_frames

from partway.partitioner.calibrate.fit_transform import (
    MOST_CHANNELS,
    by_band,
    fit,
    packed_vectors,
    rounded,
    smoothed,
)

Array = np.ndarray[Any, Any]
SHAPE = (4, 8, 8)


@pytest.fixture(scope="module")
def samples() -> Array:
    """Smooth frames [n, *SHAPE], each channel a multiple of the same plane."""
    return np.concatenate(smooth_frames(10, SHAPE))


def coded(samples: Array, relative_step: float, layout: str = "NCHW") -> tuple[Array, int]:
    """What comes out of a codec fitted to some samples, and its bytes."""
    made = fit(samples, layout).transform("t", relative_step)
    body = made.encode(samples[:1])
    return np.asarray(made.decode(memoryview(body), samples.dtype.name, samples[:1].shape)), len(body)


def test_finer_steps_are_nearer_and_larger(samples: Array) -> None:
    """The error falls with the step, the bytes rise."""
    found = [coded(samples, step) for step in (0.05, 0.3, 1.5)]
    errors = [float(np.square(back - samples[:1]).mean()) for back, _ in found]
    sizes = [size for _, size in found]
    assert errors == sorted(errors)
    assert sizes == sorted(sizes, reverse=True)
    assert errors[0] < 0.02 * float(np.var(samples))
    assert sizes[-1] < samples[0].nbytes / 20


def test_channels_that_go_together_share_a_component(samples: Array) -> None:
    """Four channels that are multiples of one plane have one strong component of four."""
    made = fit(samples, "NCHW")
    power = made.variance.sum(axis=1)
    assert power[0] > 50 * power[1:].sum()


def test_channels_last_are_fitted_alike(samples: Array) -> None:
    """The layout changes where channels lie, not what is learnt of them."""
    last = np.ascontiguousarray(samples.transpose(0, 2, 3, 1))
    first_made, last_made = fit(samples, "NCHW"), fit(last, "NHWC")
    np.testing.assert_allclose(last_made.variance, first_made.variance, rtol=1e-3, atol=1e-6)
    back, _ = coded(last, 0.1, "NHWC")
    assert back.shape == (1, 8, 8, 4)


def test_too_few_positions_keep_channels_as_they_are() -> None:
    """A basis of chance is worse than none."""
    few = np.random.default_rng(0).standard_normal((8, 64, 1, 1)).astype(np.float32)
    made = fit(few, "NCHW")
    assert made.basis.vectors is None
    assert (made.weights == 1).all()
    wide = np.zeros((8, MOST_CHANNELS + 1, 16, 16), np.float32)
    assert fit(wide, "NCHW").basis.vectors is None


def test_where_errors_matter_steps_are_finer(samples: Array) -> None:
    """A channel that decides the answer comes back nearer than one that nobody reads."""
    noise = np.random.default_rng(3).standard_normal(samples.shape).astype(np.float32)
    alike = noise[:, :1] * np.ones((1, 4, 1, 1), np.float32) + 0.3 * noise
    weights = np.random.default_rng(4).standard_normal((64, 5))
    response = lambda decoded, _: decoded[:, 0].reshape(len(decoded), -1).astype(np.float64) @ weights  # noqa: E731
    made = fit(alike, "NCHW", response).transform("t", 0.5)
    back = np.asarray(made.decode(memoryview(made.encode(alike)), "float32", alike.shape))
    errors = np.square(back - alike).mean(axis=(0, 2, 3))
    assert errors[0] < 0.5 * errors[1:].min()


def test_what_comes_out_stays_in_the_range_of_the_samples() -> None:
    """ReLU's zeros stay the least; integers are bounded by their type."""
    rng = np.random.default_rng(0)
    positive = np.maximum(rng.standard_normal((8, 4, 8, 8)), 0).astype(np.float32)
    back, _ = coded(positive, 2.0)
    assert back.min() >= 0
    made = fit(positive, "NCHW")
    assert (made.low, made.high) == (0.0, pytest.approx(1.5 * positive.max()))
    integers = rng.integers(-128, 128, (8, 8, 8, 4)).astype(np.int8)
    assert (fit(integers, "NHWC").low, fit(integers, "NHWC").high) == (-128.0, 127.0)


def test_a_tensor_that_never_changes_is_fitted_too() -> None:
    """Nothing is divided by its deviation of zero."""
    still = np.full((8, 4, 8, 8), 3.0, np.float32)
    back, _ = coded(still, 0.5)
    np.testing.assert_allclose(back, still[:1], atol=1e-3)


def test_means_over_bands_are_the_bands_own() -> None:
    """Positions of one band are one row."""
    flat = np.arange(8, dtype=np.float64).reshape(4, 2)
    np.testing.assert_array_equal(by_band(flat, np.array([0, 1, 1, 0])), [[3.0, 4.0], [3.0, 4.0]])


COUNTS = st.lists(st.integers(0, 1000), min_size=17, max_size=80)


@given(COUNTS)
def test_smoothing_moves_counts_to_neighbours_only(counts: list[int]) -> None:
    """None is negative, none is lost but at the ends, and the escape symbol keeps its own."""
    given_ = np.array(counts, float)
    found = smoothed(given_, 1)
    assert found.shape == given_.shape
    assert (found >= 0.8 * given_ - 1e-9).all()
    assert found[-1] == given_[-1]
    assert found.sum() <= given_.sum() + 1e-6


def test_groups_of_values_and_small_alphabets_are_not_smoothed() -> None:
    """There neighbours are not alike."""
    counts = np.arange(40.0)
    assert smoothed(counts, 2) is counts
    assert smoothed(counts[:10], 1) is not None
    np.testing.assert_array_equal(smoothed(counts[:10], 1), counts[:10])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_vectors_are_held_in_sixteen_bits(numbers: list[float]) -> None:
    """Off by half a step at most, and the same when held again."""
    vectors = np.array(numbers)
    held = packed_vectors(vectors)
    assert np.abs(held - vectors).max() <= 0.5 / 32767 + 1e-7
    np.testing.assert_array_equal(packed_vectors(held), held)


def test_values_are_rounded_as_decoding_would_leave_them(samples: Array) -> None:
    """Clipped to the range, whole numbers for integers, of the tensor's type."""
    integers = np.random.default_rng(0).integers(-100, 100, (8, 8, 8, 4)).astype(np.int8)
    made = fit(integers, "NHWC")
    found = rounded(np.array([-500.0, 1.4, 1.6, 500.0]), made)
    assert found.dtype == np.int8
    assert found.tolist() == [-128, 1, 2, 127]
    floats = rounded(np.array([1e9, 0.25]), fit(samples, "NCHW"))
    assert floats.dtype == np.float32
    assert floats[1] == 0.25
