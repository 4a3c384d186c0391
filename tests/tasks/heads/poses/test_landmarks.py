"""MediaPipe's landmark models."""

from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.interface import OutputSpec
from partway.tasks.registry import guesses, task_of

SIZE = (256, 256)


def _outputs(count: int, dimensions: int, score: float) -> dict[str, np.ndarray[Any, Any]]:
    """Landmarks on a diagonal in pixels, the same in metres, and a score."""
    table = np.zeros((count, dimensions), np.float32)
    table[:, 0] = table[:, 1] = np.linspace(10, 200, count)
    if dimensions == 5:
        table[:, 3] = 4.0
    metres = table[:, :3] / 256
    return {
        "world": metres.reshape(1, -1),
        "points": table.reshape(1, -1),
        "score": np.array([[score]], np.float32),
        "mask": np.zeros((1, 8, 8, 1), np.float32),
    }


@pytest.mark.parametrize(
    ("count", "dimensions", "score", "points", "label", "expected"),
    [(39, 5, 0.9, 33, "person", 0.9), (21, 3, 0.8, 21, "hand", 0.8), (468, 3, 2.0, 468, "face", 0.8808)],
)
def test_the_points_in_pixels_are_found_and_read(
    count: int, dimensions: int, score: float, points: int, label: str, expected: float
) -> None:
    """Not those in metres; the tracking points of a pose are left out; a face's score is a logit."""
    outputs = _outputs(count, dimensions, score)
    (guess, *_) = guesses(outputs, SIZE)
    assert (guess.output["kind"], guess.output["head"], guess.certain) == ("pose", "landmarks", True)
    assert guess.output["values"] == {"points": "points", "score": "score"}
    task = task_of(guess.output, [OutputSpec(name, "float32", array.shape) for name, array in outputs.items()])
    found: Any = task.decode(outputs, None)
    assert found.labels == (label,)
    assert found.points.shape == (1, points, 3)
    assert found.scores[0] == pytest.approx(expected, abs=1e-3)
    np.testing.assert_allclose(found.points[0, 0, :2], [10, 10])


def test_a_vector_of_another_length_is_refused() -> None:
    """With the number found."""
    outputs = _outputs(21, 3, 0.8)
    (guess, *_) = guesses(outputs, SIZE)
    task = task_of(guess.output, [OutputSpec(name, "float32", array.shape) for name, array in outputs.items()])
    with pytest.raises(InputError, match="has 64 numbers, no known landmarks"):
        task.decode({**outputs, "points": np.zeros((1, 64), np.float32)}, None)
