"""How models with known heads usually take pictures."""

import pytest

from partway.partitioner.formats.usual_pictures import HEADS, IMAGENET, Usual, range_in_words, usual_pictures
from partway.partitioner.plan.preprocess import Preprocess
from partway.tasks.heads.table import HEADS as DETECTORS


@pytest.mark.parametrize("head", HEADS)
def test_each_is_a_legal_preprocessing_with_a_name(head: str) -> None:
    """A plan with it is read again."""
    usual = usual_pictures({"kind": "detect", "head": head})
    fields = dict(usual.input)
    if len(fields["mean"]) != len(fields["std"]):
        raise AssertionError(head)
    made = Preprocess("x", 8, 8, 3, **fields)
    assert Preprocess.from_json(made.to_json()) == made
    assert usual.models


def test_the_heads_are_those_that_the_tasks_know() -> None:
    """A renamed head would lose its pictures without a word."""
    assert set(HEADS) - {"db", "ctc", "nanodet", "scrfd"} <= set(DETECTORS)


def test_other_models_have_nothing_usual() -> None:
    """No head, or an unknown one."""
    assert usual_pictures({}) == usual_pictures({"kind": "detect", "head": "mine"}) == Usual()


@pytest.mark.parametrize(
    ("scale", "mean", "std", "words"),
    [
        (1 / 255, (0.0,), (1.0,), "pixels 0..1"),
        (1.0, (0.0,), (1.0,), "pixels 0..255"),
        (1.0, (127.5,), (127.5,), "pixels -1..1"),
        (1 / 255, IMAGENET["mean"], IMAGENET["std"], "ImageNet's mean and deviation"),
        (1.0, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "mean 1, 2, 3 and deviation 4, 5, 6"),
    ],
)
def test_a_range_is_told_by_its_ends(scale: float, mean: tuple[float, ...], std: tuple[float, ...], words: str) -> None:
    """Or by its numbers, where the channels differ."""
    assert range_in_words(scale, mean, std) == words
