"""Answers that are all doubtful point to the preprocessing."""

from typing import Any

import numpy as np
import pytest

from partway.engines.registry import engine_for
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.calibrate.doubt import doubt, unsure
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder


def top(*probabilities: float | None) -> list[dict[str, Any]]:
    """Answers of a classifier."""
    return [{"top": [{"label": "a", "index": 0, "probability": probability}]} for probability in probabilities]


@pytest.mark.parametrize(
    ("answers", "classes", "why"),
    [
        (top(0.1, 0.2, 0.05), 1000, "the best class has at most 20.0%"),
        (top(0.1, 0.9, 0.05), 1000, ""),
        (top(0.35, 0.34), 3, "the best class has at most 35.0%"),
        (top(0.35, 0.5), 3, ""),
        (top(0.55, 0.58), 2, "the best class has at most 58.0%"),
        (top(None, None), 10, "the probabilities are no numbers"),
        ([{"boxes": []}, {"boxes": []}], 0, "no boxes found"),
        ([{"boxes": []}, {"boxes": [{"score": 0.4}]}], 0, ""),
        ([{"text": [{"text": ""}]}, {"text": []}], 0, "no text found"),
        ([{"text": [{"text": "a"}]}, {"text": []}], 0, ""),
        ([{"text": "a"}, {"text": ""}], 0, ""),
        ([{"outputs": {}}], 0, ""),
    ],
)
def test_one_answer_that_is_sure_is_enough(answers: list[dict[str, Any]], classes: int, why: str) -> None:
    """By what kind of answer it is; nothing is said of tensors."""
    assert unsure(answers, classes) == why


@pytest.fixture
def chain() -> Chain:
    """The shipped model of digits."""
    folder = model_folder("mnist")
    plan = load_plan(folder)
    return load_folder(folder, plan, engine_for(plan.engine))


def frames(chain: Chain, pixels: list[np.ndarray]) -> list[CalibrationFrame]:
    """Calibration frames of these pictures."""
    preprocess = chain.plan.preprocess
    assert preprocess is not None
    return [CalibrationFrame({preprocess.value: preprocess.tensor(one)}, one) for one in pixels]


def test_a_model_that_is_sure_of_a_picture_gets_no_warning(chain: Chain) -> None:
    """Digits that it knows, or too few pictures to tell."""
    digit = np.zeros((28, 28, 1), np.uint8)
    digit[4:24, 13:16] = 255
    assert doubt(chain, frames(chain, [digit] * 3)) == ""
    assert doubt(chain, frames(chain, [digit] * 2)) == ""
    assert doubt(chain, [CalibrationFrame(frame.values) for frame in frames(chain, [digit] * 3)]) == ""


def test_a_model_that_is_unsure_of_all_gets_one(chain: Chain) -> None:
    """With the options to look at, and what was guessed."""
    grey = [CalibrationFrame({"image": np.zeros((1, 1, 28, 28), np.float32)}, np.zeros((28, 28, 1), np.uint8))] * 3
    sentence = doubt(chain, grey)
    if not sentence:
        pytest.fail("the model is sure of empty tensors")
    assert sentence.startswith("mnist is unsure of all 3 pictures") and "--scale" in sentence
