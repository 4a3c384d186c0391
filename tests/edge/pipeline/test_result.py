"""What a frame's result says."""

from typing import Any

import numpy as np

from partway.edge.pipeline.result import FrameResult
from partway.tasks.classify import Classes
from partway.tasks.interface import Result
from partway.tasks.tensors import Tensors


def _result(answer: Result | None) -> FrameResult:
    zeros: list[Any] = [0.0] * 7
    known: list[Any] = [0, "f", 1, "raw", 1, 1, *zeros, "cloud", {}, answer]
    return FrameResult(*known)


def test_a_classifier_has_its_top_classes() -> None:
    """As values and in JSON."""
    result = _result(Classes((("a", 0, 0.5),)))
    assert result.top == (("a", 0, 0.5),)
    assert result.to_json()["top"] == [{"label": "a", "index": 0, "probability": 0.5}]


def test_what_is_no_classifier_has_no_top() -> None:
    """Its JSON holds what its task reads, and an empty list of classes."""
    result = _result(Tensors({"y": np.zeros(2, np.float32)}))
    assert result.top == ()
    assert result.to_json()["top"] == []
    assert result.to_json()["outputs"]["y"]["shape"] == [2]
    assert _result(None).to_json()["top"] == []
