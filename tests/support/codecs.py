"""Tensors through a codec and back, as both halves do it."""

from typing import Any

import numpy as np

from partway.proto.codecs.packing import pack, unpack
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]


def spec_of(array: Array) -> TensorSpec:
    """The description that this very array fits."""
    return TensorSpec("x", array.dtype.name, array.shape)


def there_and_back(codec: str, array: Array) -> Array:
    """Pack and unpack."""
    head, data = pack(codec, "x", array)
    return unpack(head, bytes(data), spec_of(array))


def smooth(shape: tuple[int, ...], count: int = 40) -> Array:
    """Samples with few strong directions, as activations have."""
    values = np.random.default_rng(0).standard_normal((count, *shape)).cumsum(1).cumsum(2 if len(shape) > 1 else 1)
    return np.asarray((values / values.std() * 20).astype(np.float32))
