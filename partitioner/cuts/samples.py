"""Inputs to measure a model on: generated pictures, numbers, and masks, where no real ones are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.inputs import random_tensor
from partway.partitioner.plan.preprocess import Preprocess, guess_preprocess
from partway.partitioner.profile.sample_pictures import sample_picture
from partway.proto.tensors import TensorSpec, Values

Array = np.ndarray[Any, Any]
COUNT = 2
WORDS = 100
"""Integers below this number are taken for numbers of words: every vocabulary has so many."""


@dataclass(frozen=True)
class Sample:
    """One input of a model: its tensors, and its pixels (uint8 [height, width, channels]) where it is a picture."""

    values: Values
    pixels: Array | None = None


def sample_attempts(
    graph: Graph, preprocess: Preprocess | None = None, examples: Values | None = None
) -> Iterator[tuple[list[Sample], str]]:
    """Generated inputs and what they are called, the most natural first; later ones suit models that refuse those.

    ``preprocess`` makes the input of a picture; without it, it is guessed from the input's shape. ``examples`` are
    legal values of inputs: a single number fills its input.
    """
    if preprocess is None and len(graph.inputs) == 1:
        preprocess = guess_preprocess(graph.values[graph.inputs[0]])
    if preprocess is not None and graph.inputs == (preprocess.value,):
        yield [_picture(preprocess, seed) for seed in range(COUNT)], f"{COUNT} generated pictures"
        return
    for words in (WORDS, 2, 1):
        yield [_tensors(graph, seed, words, examples or {}) for seed in range(COUNT)], f"{COUNT} generated inputs"


def _picture(preprocess: Preprocess, seed: int) -> Sample:
    pixels = sample_picture(*preprocess.shape, seed)
    return Sample({preprocess.value: preprocess.tensor(pixels)}, pixels)


def _tensors(graph: Graph, seed: int, words: int, examples: Values) -> Sample:
    rng = np.random.default_rng(seed)
    return Sample(
        {
            name: _example(examples[name], graph.values[name])
            if name in examples
            else _tensor(rng, graph.values[name], words)
            for name in graph.inputs
        }
    )


def _example(given: Array, spec: TensorSpec) -> Array:
    filled = np.broadcast_to(given, spec.frame_shape()) if given.ndim == 0 else given
    return np.ascontiguousarray(filled, spec.dtype).reshape(filled.shape)


def _tensor(rng: np.random.Generator, spec: TensorSpec, words: int) -> Array:
    """Ones for a mask, zeros for kinds of text; other wide integers are words, and the rest is random."""
    shape = spec.frame_shape()
    if spec.dtype not in ("int32", "int64"):
        return random_tensor(rng, spec.dtype, shape)
    if "mask" in spec.name.lower():
        return np.ones(shape, spec.dtype)
    if "type" in spec.name.lower() or "segment" in spec.name.lower():
        return np.zeros(shape, spec.dtype)
    return rng.integers(0, words, shape).astype(spec.dtype)
