"""Inputs to measure on."""

import numpy as np

from partway.partitioner.cuts.samples import COUNT, WORDS, sample_attempts
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto.tensors import TensorSpec


def taking(**inputs: tuple[str, tuple[int | None, ...]]) -> Graph:
    """A graph with these inputs: name to dtype and shape."""
    specs = {name: TensorSpec(name, dtype, shape) for name, (dtype, shape) in inputs.items()}
    out = TensorSpec("out", "float32", (1,))
    return Graph((Operator("op", "Any", tuple(inputs), ("out",)),), {**specs, "out": out}, {}, tuple(inputs), ("out",))


def test_an_input_that_can_be_a_picture_gets_pictures() -> None:
    """One attempt, with the pixels beside the tensors."""
    ((samples, what),) = sample_attempts(taking(x=("float32", (None, 3, 32, 48))))
    assert len(samples) == COUNT and what == f"{COUNT} generated pictures"
    for sample in samples:
        assert sample.pixels is not None and sample.pixels.shape == (32, 48, 3)
        assert sample.values["x"].shape == (1, 3, 32, 48)
        assert 0 <= sample.values["x"].min() < sample.values["x"].max() <= 1


def test_the_preprocessing_is_that_of_the_plan() -> None:
    """Another scale gives other tensors."""
    preprocess = Preprocess("x", 32, 48, 3, scale=1.0)
    samples, _ = next(sample_attempts(taking(x=("float32", (None, 3, 32, 48))), preprocess))
    assert samples[0].values["x"].max() > 100


def test_a_language_model_gets_words_masks_and_kinds() -> None:
    """Words of every vocabulary; all of them count; fewer words where a model refuses those."""
    graph = taking(
        input_ids=("int64", (None, 16)), attention_mask=("int64", (None, 16)), token_type_ids=("int64", (None, 16))
    )
    attempts = list(sample_attempts(graph))
    assert len(attempts) > 1
    values = attempts[0][0][0].values
    assert 1 < values["input_ids"].max() < WORDS and values["input_ids"].min() >= 0
    assert np.all(values["attention_mask"] == 1) and np.all(values["token_type_ids"] == 0)
    assert attempts[-1][0][0].values["input_ids"].max() == 0


def test_other_tensors_are_random() -> None:
    """Of the shape and dtype that the model takes."""
    samples, what = next(sample_attempts(taking(x=("float32", (None, 7)), y=("bool", (2, 2)))))
    assert what == f"{COUNT} generated inputs"
    assert samples[0].values["x"].shape == (1, 7) and samples[0].values["y"].dtype == np.bool_
    assert not np.array_equal(samples[0].values["x"], samples[1].values["x"])
