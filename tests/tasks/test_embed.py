"""The task embed."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from partway.errors import InputError
from partway.tasks.embed import ENTRY, Embedding
from partway.tasks.interface import OutputSpec

Array = np.ndarray[Any, Any]


def _task(**output: Any) -> Any:
    return ENTRY.make({"kind": "embed", "value": "y", **output}, [OutputSpec("y", "float32", (None,))])


@pytest.mark.parametrize("shape", [(1, 4), (4,), (1, 4, 1, 1)])
def test_a_vector_is_read(shape: tuple[int, ...]) -> None:
    """Of any axes; scaled to length 1 if the plan says so."""
    output = {"y": np.array([3, 0, 4, 0], np.float32).reshape(shape)}
    assert _task().decode(output, None).to_json() == {"embedding": [3, 0, 4, 0]}
    found = _task(normalize=True).decode(output, None)
    assert found.values.tolist() == pytest.approx([0.6, 0, 0.8, 0])
    assert found.line == "4 values, norm 1: 0.600 0.000 0.800 0.000 …"


def test_vectors_of_tokens_are_pooled() -> None:
    """By their mean, or the first."""
    output = {"y": np.array([[[1, 2], [3, 6]]], np.float32)}
    assert _task(pool="mean").decode(output, None).values.tolist() == [2, 4]
    assert _task(pool="first").decode(output, None).values.tolist() == [1, 2]
    with pytest.raises(InputError, match="pool 'max'"):
        _task(pool="max")


@pytest.mark.parametrize("pool", ["", "mean", "first"])
def test_an_empty_or_missing_output_is_refused(pool: str) -> None:
    """It gives no vector."""
    with pytest.raises(InputError, match="'y' is empty"):
        _task(pool=pool).decode({"y": np.zeros((1, 0, 4 if pool else 0))}, None)
    with pytest.raises(InputError, match="no output 'y', only x"):
        _task(pool=pool).decode({"x": np.zeros(4)}, None)


@pytest.mark.parametrize(
    ("one", "other", "agreement"),
    [
        ([1, 0], [2, 0], 1.0),
        ([1, 0], [1, 1], 0.5**0.5),
        ([1, 0], [-1, 0], 0.0),
        ([0, 0], [0, 0], 1.0),
        ([0, 0], [1, 0], 0.0),
        ([float("nan"), 0], [1, 0], 0.0),
        ([float("nan"), 0], [float("nan"), 0], 1.0),
        ([1, 0], [1, 0, 0], 0.0),
    ],
)
def test_agreement_is_the_cosine(one: list[float], other: list[float], agreement: float) -> None:
    """Never below 0."""
    assert _task().agreement(Embedding(np.array(one)), Embedding(np.array(other))) == pytest.approx(agreement)


def test_nothing_is_drawn() -> None:
    """A vector has no place in the picture."""
    assert _task().draw(Image.new("L", (4, 4)), Embedding(np.ones(3))).getbbox() is None


RNG = np.random.default_rng(0)
VECTOR = RNG.normal(size=(1, 64)).astype(np.float32)
UNIT = VECTOR / np.linalg.norm(VECTOR)


@pytest.mark.parametrize(
    ("outputs", "size", "entry"),
    [
        ({"y": UNIT}, (64, 64), {"value": "y"}),
        ({"y": VECTOR}, None, {"value": "y"}),
        ({"y": VECTOR}, (64, 64), None),
        ({"embedding": VECTOR}, (64, 64), {"value": "embedding"}),
        ({"tokens": RNG.normal(size=(1, 7, 64)), "pooled": VECTOR}, None, {"value": "pooled"}),
        ({"y": RNG.normal(size=(1, 7, 64))}, None, {"value": "y", "pool": "mean"}),
        ({"y": RNG.normal(size=(1, 7, 64))}, (64, 64), None),
        ({"y": VECTOR[:, :8]}, None, None),
        ({"y": np.full((1, 64), np.nan)}, None, None),
        ({str(i): VECTOR for i in range(4)}, None, None),
    ],
)
def test_which_outputs_are_embeddings(outputs: dict[str, Array], size: Any, entry: dict[str, str] | None) -> None:
    """A vector of length 1, or by name; of anything but pictures any vector; never without doubt."""
    guess = ENTRY.recognise(outputs, size)
    assert (None if guess is None else {key: guess.output[key] for key in entry or {}}) == entry
    assert guess is None or not guess.certain


def test_a_user_may_name_any_vector_an_embedding() -> None:
    """Features of a picture look like scores of classes: the user says what they are. Two vectors leave it open."""
    assert ENTRY.named is not None
    assert ENTRY.recognise({"y": 9 * VECTOR}, (64, 64)) is None
    guess = ENTRY.named({"y": 9 * VECTOR})
    assert guess is not None and guess.output == {"kind": "embed", "value": "y"}
    tokens = ENTRY.named({"y": RNG.normal(size=(1, 7, 64))})
    assert tokens is not None and tokens.output["pool"] == "mean"
    assert ENTRY.named({"x": VECTOR, "y": VECTOR}) is None
