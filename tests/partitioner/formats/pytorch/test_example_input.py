"""What a module is traced with."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.torch_project import MODULE, image

import partway
from partway.errors import InputError
from partway.partitioner.formats.pytorch.example_input import DTYPES, in_order, read_example
from partway.partitioner.formats.pytorch.trace import trace
from partway.partitioner.resolve import export

pytest.importorskip("torch")
pytest.importorskip("onnxscript")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["1x0x3"], "neither a shape"),
        (["huge"], "neither a shape"),
        (["1x8:complex64"], "neither a shape"),
        (["none.npy"], "cannot be read"),
        (["none.npz"], "cannot be read"),
        ([], "needs --example-input"),
    ],
)
def test_an_example_that_is_none_is_refused(here, tmp_path, given, says):
    """A sentence that shows what would be one."""
    with pytest.raises(InputError, match=says):
        export(f"{MODULE}:Net", tmp_path / "x.onnx", given)


def test_names_that_forward_does_not_have_are_refused(tmp_path, nets):
    """A mapping must name forward's arguments, the first ones without a gap."""
    with pytest.raises(InputError, match="no argument 'picture'; it takes image, scale"):
        trace(nets.Two(), {"picture": image(1), "scale": image(1)})
    with pytest.raises(InputError, match="lacks 'image'"):
        trace(nets.Two(), {"scale": image(1)})
    with pytest.raises(InputError, match="not of a int"):
        partway.plan(3, image(1), out=tmp_path)
    with pytest.raises(InputError, match="give example_inputs"):
        partway.plan(nets.Net(), out=tmp_path)


def test_shapes_become_arrays_of_their_type():
    """Floats at random, the same every time; indices and masks of zeros."""
    first, ids = read_example(["1x3x4", "2x16:int64"])
    assert (first.shape, first.dtype) == ((1, 3, 4), np.float32)
    assert 0 <= first.min() < first.max() < 1
    np.testing.assert_array_equal(first, read_example(["1x3x4"])[0])
    assert (ids.shape, ids.dtype, ids.any()) == ((2, 16), np.int64, False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_that_can_be_named_is_made(dtype):
    """By its name after a colon."""
    assert read_example([f"2x3:{dtype}"])[0].dtype == dtype


def test_arrays_are_read_from_files(tmp_path):
    """One from .npy, several by name from .npz."""
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "all.npz", image=array, scale=array[:1])
    np.testing.assert_array_equal(read_example([str(tmp_path / "x.npy")])[0], array)
    assert set(read_example([str(tmp_path / "all.npz")])) == {"image", "scale"}


def test_pickles_in_files_of_arrays_are_refused(tmp_path):
    """Nothing in them is run."""
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", x=np.array([{}], object))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match=rf"{name} cannot be read"):
            read_example([str(tmp_path / name)])


def forward(image, scale, extra=None):
    """Takes three."""


def test_examples_are_put_in_the_order_of_the_arguments():
    """Sequences as they are, mappings by name; the only value of a mapping by another name is the first argument."""
    assert in_order([1, 2], forward) == [1, 2]
    assert in_order(7, forward) == [7]
    assert in_order({"scale": 2, "image": 1}, forward) == [1, 2]
    assert in_order({"whatever": 1}, forward) == [1]


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ({"image": 1, "x": 2}, "no argument 'x'; it takes image, scale, extra"),
        ({"image": 1, "extra": 3}, "lacks 'scale'"),
    ],
)
def test_a_mapping_with_other_names_or_a_gap_is_refused(example, says):
    """The sentence lists the arguments."""
    with pytest.raises(InputError, match=says):
        in_order(example, forward)
