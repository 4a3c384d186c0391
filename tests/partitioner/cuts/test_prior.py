"""Bytes of values that were never seen."""

import numpy as np
import pytest
from tests.support.graphs import line

from partway.partitioner.cuts.costs import LEVELS, PICTURES
from partway.partitioner.cuts.prior import bytes_per_value, kind_of, share_of_picture
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.profile.sample_pictures import sample_picture
from partway.proto.codecs.image import encode_image
from partway.proto.codecs.packing import pack
from partway.proto.tensors import TensorSpec


def made_by(kind: str, dtype: str = "float32") -> Graph:
    """A graph whose value ``made`` comes from an operator of that kind."""
    specs = {name: TensorSpec(name, dtype, (1, 16, 8, 8)) for name in ("in", "made")}
    return Graph((Operator("op", kind, ("in",), ("made",)),), specs, {}, ("in",), ("made",))


@pytest.mark.parametrize(
    ("kind", "dtype", "group"),
    [
        ("Relu", "float32", "sparse"),
        ("Conv", "float32", "dense"),
        ("Add", "float32", "dense"),
        ("Relu", "uint8", "integer"),
    ],
)
def test_values_are_grouped_by_what_makes_them(kind: str, dtype: str, group: str) -> None:
    """A rectifier's zeros compress; integers have few steps already."""
    assert kind_of(made_by(kind, dtype), "made") == group


@pytest.mark.parametrize("kind", ["Relu", "Conv"])
def test_fewer_bits_are_fewer_bytes(kind: str) -> None:
    """From level to level, and less after a rectifier."""
    sizes = [bytes_per_value(made_by(kind), "made", level) for level in range(len(LEVELS))]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.5
    assert bytes_per_value(made_by("Relu"), "made", 3) < bytes_per_value(made_by("Conv"), "made", 3)


def test_the_input_is_dense() -> None:
    """No operator makes it."""
    assert kind_of(line(("", "in", 8), ("A", "a", 8)), "a") == "integer"
    assert kind_of(made_by("Relu"), "in") == "dense"


def test_the_prior_is_near_what_codecs_make_of_natural_values() -> None:
    """Filtered pictures, rectified and not: within a factor of two at every level."""
    pixels = sample_picture(96, 96, 3, 7).astype(np.float32)
    rows = np.stack([pixels[1:, 1:, c] - w * pixels[:-1, :-1, c] for c in range(3) for w in (0.5, 0.8, 1.0)])[None]
    spread = rows / rows.std(axis=(2, 3), keepdims=True)
    for kind, array in (("Conv", spread), ("Relu", np.maximum(spread, 0))):
        for level, codec in enumerate(LEVELS):
            real = len(pack(codec, "made", array)[1]) / array.size
            assert 0.5 < bytes_per_value(made_by(kind), "made", level) / real < 2.0, (kind, codec)


def test_a_picture_has_the_bytes_of_its_jpeg() -> None:
    """Within a factor of two at the sizes that models take."""
    for side in (96, 224):
        pixels = sample_picture(side, side, 3, 1)
        for level, codec in enumerate(PICTURES):
            assert 0.5 < share_of_picture(level) * pixels.size / len(encode_image(codec, pixels)) < 2.0
