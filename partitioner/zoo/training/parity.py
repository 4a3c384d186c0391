"""Run the exported file as users do, and compare it with the network it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np

from partway.errors import PartwayError
from partway.partitioner.zoo.training.model import INPUT, OUTPUT, PIXEL_MEAN, PIXEL_STD

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-3
"""Largest difference of a logit that rounding can explain: they reach about 20, float32 keeps 7 digits."""

_AT_ONCE = 1000


def network_input(images: Array) -> Array:
    """float32 [count, 1, 28, 28] as the network wants it, of uint8 [count, 28, 28] images, light on dark."""
    scaled = (images[:, None] / 255 - PIXEL_MEAN) / PIXEL_STD
    return np.asarray(scaled, np.float32)


def onnx_logits(model: bytes, images: Array) -> Array:
    """float32 [count, 10]: what ONNX Runtime makes of uint8 [count, 28, 28] images with this model file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    pieces = [images[first : first + _AT_ONCE] for first in range(0, len(images), _AT_ONCE)]
    return np.concatenate([session.run([OUTPUT], {INPUT: network_input(piece)})[0] for piece in pieces])


def largest_difference(expected: Array, actual: Array) -> float:
    """The largest absolute difference of two sets of logits. Raises PartwayError beyond rounding."""
    difference = float(np.abs(expected - actual).max())
    if not difference <= TOLERANCE:
        raise PartwayError(
            f"the exported ONNX file's logits differ from the trained network's by up to {difference:.3g}; "
            "please report this with the versions of torch and onnxruntime"
        )
    return difference


def mean_loss(logits: Array, labels: Array) -> float:
    """Mean cross-entropy of one image, in nats, of logits [count, 10] and labels [count]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    return float((normaliser - shifted[np.arange(len(labels)), labels]).mean())
