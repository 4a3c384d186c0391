"""The task ``embed``: a vector that stands for the input; near inputs have near vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.reading import AGAIN, taken, values_of
from partway.tasks.arrays.wording import rounded
from partway.tasks.interface import Geometry, Guess, OutputSpec, TaskEntry

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
LEAST_LENGTH = 16
"""Shorter vectors are no embeddings."""
MOST_OUTPUTS = 3
POOLS = ("", "mean", "first")


@dataclass(frozen=True, slots=True)
class Embedding:
    """``values`` float32 [n]."""

    values: Array

    def to_json(self) -> dict[str, Any]:
        """``embedding``: the values; one that is no number is None."""
        return {"embedding": [rounded(value, 7) for value in self.values.tolist()]}

    @property
    def line(self) -> str:
        """Its length, norm and first values."""
        first = " ".join(f"{value:.3f}" for value in self.values[:4].tolist())
        return f"{len(self.values)} values, norm {float(np.linalg.norm(self.values)):.3g}: {first} …"


class Embed:
    """Reads one vector. ``pool``: the mean of a sequence of vectors, or its first. ``unit``: scaled to length 1."""

    name = "embed"

    def __init__(self, value: str, pool: str, unit: bool) -> None:
        self._value, self._pool, self._unit = value, pool, unit

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Embedding:
        """The vector. Raises InputError if the output is empty."""
        array = np.asarray(outputs.get(self._value, ()))
        if self._pool:
            table = taken(outputs, self._value, 2)
            vector = (table.mean(0) if self._pool == "mean" else table[0]) if len(table) else table.reshape(-1)
        else:
            vector = taken({self._value: array.reshape(-1)} if self._value in outputs else outputs, self._value, 1)
        if not vector.size:
            raise InputError(f"output {self._value!r} is empty, it gives no vector; {AGAIN}")
        with np.errstate(all="ignore"):
            norm = float(np.linalg.norm(vector))
            return Embedding((vector / norm if self._unit and norm > 0 else vector).astype(np.float32))

    def agreement(self, result: Embedding, reference: Embedding) -> float:
        """The cosine, at least 0; 1 for two vectors of zeros, 0 where a value is no number."""
        one, other = result.values.astype(np.float64), reference.values.astype(np.float64)
        if one.shape != other.shape:
            return 0.0
        if np.array_equal(one, other, equal_nan=True):
            return 1.0
        with np.errstate(all="ignore"):
            cosine = float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
        return min(max(cosine, 0.0), 1.0) if np.isfinite(cosine) else 0.0

    def draw(self, picture: Image, result: Embedding) -> Image:
        """The picture as it is: nothing is known to draw."""
        return picture.convert("RGB")


def _make(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Embed:
    value = values_of(output, ("value",), [spec.name for spec in outputs])["value"]
    pool = str(output.get("pool", ""))
    if pool not in POOLS:
        raise InputError(f"pool {pool!r} of the plan's output entry is not known, only mean and first; {AGAIN}")
    return Embed(value, pool, bool(output.get("normalize")))


def _recognise(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    """A vector, of length 1 at best; or a vector per token of a text, whose mean counts.

    An only vector of a picture is rather classes, unless its length or its name says otherwise.
    """
    if len(outputs) > MOST_OUTPUTS:
        return None
    vectors = {name: array for name, array in outputs.items() if LEAST_LENGTH <= array.size == max(array.shape)}
    for name, array in vectors.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            continue
        entry = {"kind": "embed", "value": name}
        if abs(float(np.linalg.norm(array.astype(np.float64))) - 1) < 1e-2 and (array < 0).any():
            return Guess(entry, f"a vector of {array.size} values and length 1", likely=0.7)
        named = any(word in name.lower() for word in ("embed", "pool", "feature"))
        if named or input_size is None:
            return Guess(entry, f"a vector of {array.size} values", likely=0.55 if named else 0.3)
    return _tokens(outputs) if input_size is None else None


def _tokens(outputs: Mapping[str, Array]) -> Guess | None:
    for name, array in outputs.items():
        per_token = array.ndim == 3 and array.shape[0] == 1 and array.shape[2] >= LEAST_LENGTH
        if per_token and array.dtype.kind == "f" and array.size and (array < 0).any():
            reason = f"{array.shape[1]} vectors of {array.shape[2]} values; their mean counts"
            return Guess({"kind": "embed", "value": name, "pool": "mean"}, reason, likely=0.4)
    return None


def _named(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    """An only vector of any meaning, for example the features of a classifier; or a vector per token of a picture."""
    vectors = {name: array for name, array in outputs.items() if 1 < array.size == max(array.shape)}
    if len(vectors) != 1:
        return _tokens(outputs)
    name, array = next(iter(vectors.items()))
    return Guess({"kind": "embed", "value": name}, f"a vector of {array.size} values", likely=0.1)


ENTRY = TaskEntry(_make, _recognise, "a vector that stands for the input", named=_named)
