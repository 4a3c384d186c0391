"""Codecs fitted to the tensors that cross at a split."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.linear import linear_chain, smooth_frames

from partway.partitioner.calibrate.fit_split import (
    LEAST_FRAMES,
    QUALITIES,
    answers,
    cosine,
    fit_split,
    fits,
    layout_of,
    relative_error,
)
from partway.partitioner.plan.chain import Chain
from partway.proto.codecs.transform.codebook import codebook
from partway.proto.tensors import TensorSpec

SHAPE = (4, 12, 12)


@pytest.fixture(scope="module")
def chain() -> Chain:
    """x [4, 12, 12] -> a [2, 16, 16] -> y [5]."""
    return linear_chain(SHAPE, (2, 16, 16), (5,))


@pytest.fixture(scope="module")
def lives() -> list[dict[str, Any]]:
    """Smooth frames at split 0."""
    return [{"x": frame} for frame in smooth_frames(LEAST_FRAMES + 4, SHAPE)]


@pytest.mark.parametrize(
    ("spec", "suits"),
    [
        (TensorSpec("v", "float32", (None, 4, 8, 8)), True),
        (TensorSpec("v", "int8", (None, 8, 8, 4)), True),
        (TensorSpec("v", "float16", (None, 256)), True),
        (TensorSpec("v", "uint8", (None, 16, 16)), True),
        (TensorSpec("v", "float32", (None, 255)), False),
        (TensorSpec("v", "float32", (None,)), False),
        (TensorSpec("v", "float32", (None, 2, 2, 8, 8)), False),
        (TensorSpec("v", "float32", (None, None, 8, 8)), False),
        (TensorSpec("v", "int64", (None, 4, 8, 8)), False),
        (TensorSpec("v", "float32", (None, 5000)), False),
        (TensorSpec("v", "float32", (None, 512, 512, 64)), False),
    ],
)
def test_tensors_that_transform_coding_may_suit(spec: TensorSpec, suits: bool) -> None:
    """A batch first, one to three known dimensions, numbers, neither few values nor very many."""
    assert fits(spec) is suits


def test_channels_lie_where_the_engine_has_them() -> None:
    """Last for LiteRT, first for all others."""
    assert (layout_of("litert"), layout_of("onnx"), layout_of("torch")) == ("NHWC", "NCHW", "NCHW")


def test_every_quality_is_fitted_and_reads_back(chain: Chain, lives: list[dict[str, Any]]) -> None:
    """From the plan's entries to a book of codecs that pack the very tensor; finer qualities are nearer to it."""
    (entry,) = fit_split(chain, 0, lives)
    assert entry["value"] == "x"
    assert [quality["name"] for quality in entry["qualities"]] == [f"t{quality}" for quality in QUALITIES]
    book = codebook([entry])
    sample = lives[0]["x"]
    errors, sizes = [], []
    for name in ("t15", "t100"):
        body = book[name]["x"].encode(sample)
        back = np.asarray(book[name]["x"].decode(memoryview(body), "float32", sample.shape))
        errors.append(float(np.abs(back - sample).max()))
        sizes.append(len(body))
    assert errors[0] < errors[1]
    assert sizes[0] > sizes[1]
    assert sizes[0] < sample.nbytes


def test_too_few_frames_fit_nothing(chain: Chain, lives: list[dict[str, Any]]) -> None:
    """A basis of a handful of frames would be theirs alone."""
    assert fit_split(chain, 0, lives[: LEAST_FRAMES - 1]) == []


def test_a_tensor_that_is_too_small_is_left_out(lives: list[dict[str, Any]]) -> None:
    """Its split gets no fitted codec at all."""
    small = linear_chain(SHAPE, (16,), (5,))
    values = [dict(small.run(live, 0, 1)) for live in lives]
    assert fit_split(small, 1, values) == []


def test_answers_follow_what_replaces_a_value(chain: Chain, lives: list[dict[str, Any]]) -> None:
    """One answer a sample, as the rest of the chain gives it."""
    response = answers(chain, 0, "x", lives, None)
    samples = np.concatenate([lives[1]["x"], lives[2]["x"]])
    found = response(samples, 0)
    assert found.shape == (2, 5)
    np.testing.assert_allclose(found[1], chain.run(lives[2], 0, 2)["y"][0], rtol=1e-5)


def test_a_last_stage_of_ones_own_answers_in_its_place(chain: Chain, lives: list[dict[str, Any]]) -> None:
    """It sees the values at the last cut."""
    response = answers(chain, 0, "x", lives, lambda live: live["a"].reshape(-1)[:3])
    np.testing.assert_array_equal(
        response(lives[0]["x"], 0)[0], chain.run(lives[0], 0, 1)["a"].reshape(-1)[:3].astype(np.float64)
    )


NUMBERS = st.lists(st.floats(-100, 100), min_size=2, max_size=6).filter(lambda found: any(abs(x) > 1e-3 for x in found))


@given(NUMBERS, st.floats(0.1, 5))
def test_error_and_cosine_of_a_scaled_answer(numbers: list[float], scale: float) -> None:
    """The error is what was added, relative to the whole; the direction stays."""
    right = {"y": np.array(numbers)}
    scaled = {"y": np.array(numbers) * scale}
    assert relative_error(scaled, right, ["y"]) == pytest.approx(abs(scale - 1), abs=1e-9)
    assert cosine(scaled, right, ["y"]) == pytest.approx(1.0)
    assert cosine({"y": -right["y"]}, right, ["y"]) == pytest.approx(-1.0)


def test_all_outputs_count_together() -> None:
    """An answer of zeros is one whole length off; against zeros lengths count as they are."""
    right = {"y": np.array([3.0]), "z": np.array([4.0])}
    zeros = {"y": np.array([0.0]), "z": np.array([0.0])}
    assert relative_error(zeros, right, ["y", "z"]) == pytest.approx(1.0)
    assert relative_error(right, zeros, ["y", "z"]) == pytest.approx(5.0)
    assert relative_error(right, {**right, "z": np.array([0.0])}, ["y", "z"]) == pytest.approx(4 / 3)
    assert cosine(zeros, right, ["y", "z"]) == 0.0
