"""The task scores."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from partway.errors import InputError
from partway.tasks.interface import OutputSpec
from partway.tasks.scores import ENTRY, Scores

Array = np.ndarray[Any, Any]


def _read(values: Any, **output: Any) -> Scores:
    task = ENTRY.make({"kind": "scores", "value": "y", **output}, [OutputSpec("y", "float32", (None,))])
    found: Scores = task.decode({"y": np.array(values, np.float32)}, None)  # type: ignore[assignment]
    return found


@pytest.mark.parametrize(
    ("values", "output", "line"),
    [
        ([[0.93]], {}, "0.93"),
        (0.93, {"labels": ["speech"]}, "speech 0.93"),
        ([[0.1, 0.93, 0.5]], {"labels": ["a", "b"]}, "b 0.93, 2 0.50, a 0.10"),
        (range(7), {}, "6 6.00, 5 5.00, 4 4.00, 3 3.00, 2 2.00, …"),
        ([0.0], {"sigmoid": True}, "0.50"),
        ([float("nan"), 1], {"labels": ["\x07"]}, "1 1.00, \\x07 nan"),
    ],
)
def test_values_stay_what_they_are(values: Any, output: dict[str, Any], line: str) -> None:
    """No softmax; the largest first in the line."""
    assert _read(list(values) if isinstance(values, range) else values, **output).line == line


def test_json_keeps_the_model_s_order() -> None:
    """A score that is no number is null."""
    assert _read([0.25, float("inf")], labels=["rain"]).to_json() == {
        "scores": [{"label": "rain", "index": 0, "score": 0.25}, {"label": "1", "index": 1, "score": None}]
    }


def test_an_empty_or_missing_output_is_refused() -> None:
    """It gives no score."""
    with pytest.raises(InputError, match="'y' is empty"):
        _read([])
    task = ENTRY.make({}, [OutputSpec("y", "float32", ())])
    with pytest.raises(InputError, match="no output 'y', only x"):
        task.decode({"x": np.zeros(1)}, None)


def test_agreement_is_one_minus_the_mean_difference() -> None:
    """Never below 0; what is no number agrees with itself."""
    task = ENTRY.make({}, [OutputSpec("y", "float32", ())])

    def agreement(result: list[float], reference: list[float]) -> float:
        return task.agreement(Scores(np.array(result)), Scores(np.array(reference)))

    nan, inf = float("nan"), float("inf")
    assert agreement([0.5, 1], [0.25, 0.75]) == 0.75
    assert agreement([5], [1]) == 0
    assert agreement([0.5], [0.5, 0.5]) == 0
    assert agreement([nan, inf], [nan, inf]) == 1
    assert agreement([nan, 0.5], [0.5, 0.5]) == 0.5


def test_the_picture_shows_the_line() -> None:
    """In its corner."""
    task = ENTRY.make({}, [OutputSpec("y", "float32", ())])
    drawn = task.draw(Image.new("RGB", (90, 60)), Scores(np.array([0.9])))
    assert drawn.getbbox() is not None


@pytest.mark.parametrize(
    ("outputs", "size", "certain"),
    [
        ({"y": np.array([[0.5]])}, (96, 96), True),
        ({"y": np.array(3.7)}, None, True),
        ({"y": np.array([[0.5]]), "state": np.zeros((2, 1, 8))}, None, False),
        ({"y": np.array([[0.9, 0.8]])}, (96, 96), False),
        ({"y": np.array([[3.9, 4.8]])}, None, False),
        ({"y": np.array([[3.9, 4.8]])}, (96, 96), None),
        ({"y": np.array([[0.25, 0.75]])}, None, None),
        ({"y": np.zeros((1, 4, 4))}, None, None),
        ({"y": np.zeros(0)}, None, None),
        ({"y": np.zeros(3), "z": np.zeros(3)}, None, None),
    ],
)
def test_which_outputs_are_scores(outputs: dict[str, Array], size: Any, certain: bool | None) -> None:
    """A single number is; several of 0 to 1 may be, unless they sum up to 1."""
    guess = ENTRY.recognise(outputs, size)
    assert (guess and guess.certain) == certain


def test_a_user_may_name_any_vector_scores() -> None:
    """Values of a picture that may be logits of classes: the user says what they are. Maps are no scores."""
    assert ENTRY.named is not None
    logits = {"y": np.array([[3.0, -1.0, 2.0]], np.float32)}
    assert ENTRY.recognise(logits, (64, 64)) is None
    guess = ENTRY.named(logits)
    assert guess is not None and guess.output == {"kind": "scores", "value": "y", "classes": 3}
    assert ENTRY.named({"y": np.zeros((1, 3, 8, 8))}) is None
