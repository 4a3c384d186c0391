"""One thing to infer on, as a program has it in hand: every form becomes a sample, or one sentence says what would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from tests.support.mnist_plans import PICTURES, TENSORS, mnist_plan

from partway.edge.sources.files import Sample
from partway.edge.sources.samples import is_picture, sample_of, sample_of_array
from partway.errors import InputError
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
COLOUR = mnist_plan(fit="stretch", channels=3)


def plan_of(*inputs: TensorSpec) -> Plan:
    """A plan of one stage with these inputs, none of which is a picture."""
    output = TensorSpec("y", "float32", (None, 2))
    names = tuple(spec.name for spec in inputs)
    stage = Stage("all.bin", "0" * 64, 1, inputs, (output,), 1)
    tensors = {spec.name: spec for spec in (*inputs, output)}
    return Plan("two", "0" * 64, "fake", (stage,), (Cut(names), Cut(("y",))), tensors, names, ("y",))


TWO = plan_of(TensorSpec("ids", "int64", (None, None)), TensorSpec("mask", "float32", (None, 4)))


def pixels_of(given: object, plan: Plan = PICTURES) -> Array:
    """The pixels of what becomes a picture."""
    sample = sample_of(given, plan, "it")
    assert sample.pixels is not None
    assert sample.values is None
    return sample.pixels


def values_of(given: object, plan: Plan = TENSORS) -> Mapping[str, Array]:
    """The tensors of what is none."""
    sample = sample_of(given, plan, "it")
    assert sample.values is not None
    assert sample.pixels is None
    return sample.values


@pytest.mark.parametrize(
    ("shape", "dtype", "picture"),
    [
        ((5, 7), np.uint8, True),
        ((5, 7, 1), np.uint8, True),
        ((5, 7, 3), np.uint8, True),
        ((5, 7, 4), np.uint8, True),
        ((1, 5, 7, 3), np.uint8, True),
        ((5, 7, 2), np.uint8, False),
        ((3, 5, 7), np.uint8, False),
        ((2, 5, 7, 3), np.uint8, False),
        ((1, 1, 5, 7, 3), np.uint8, False),
        ((7,), np.uint8, False),
        ((), np.uint8, False),
        ((5, 7, 3), np.int8, False),
        ((5, 7, 3), np.float32, False),
    ],
)
def test_a_picture_is_known_by_type_and_shape(shape: tuple[int, ...], dtype: Any, picture: bool) -> None:
    """uint8 of height and width, with 1, 3 or 4 channels behind them, one frame at most."""
    assert is_picture(np.zeros(shape, dtype)) is picture


def test_a_sample_is_taken_as_it_is() -> None:
    """What was read already is not read again."""
    sample = Sample("mine", np.zeros((28, 28, 1), np.uint8))
    assert sample_of(sample, PICTURES, "other name") is sample


@given(npst.arrays(np.uint8, st.sampled_from([(28, 28), (28, 28, 1), (1, 28, 28, 1)])))
def test_pixels_of_the_models_own_size_are_not_touched(array: Array) -> None:
    """A picture that fits is taken to the bit, however many axes it has."""
    np.testing.assert_array_equal(pixels_of(array), array.reshape(28, 28, 1))


@pytest.mark.parametrize("shape", [(50, 60), (50, 60, 3), (1, 9, 9, 4), (9, 1)])
def test_a_picture_of_any_size_is_fitted(shape: tuple[int, ...]) -> None:
    """An array of another size or number of channels is scaled to the model's."""
    pixels = pixels_of(np.full(shape, 255, np.uint8))
    assert pixels.shape == (28, 28, 1)
    assert (pixels == 255).all()


def test_a_pillow_picture_a_file_and_an_array_are_the_same_pixels(tmp_path: Path) -> None:
    """Whichever form a program has in hand, the model sees the same picture."""
    array = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    picture, file = Image.fromarray(array), tmp_path / "a.png"
    picture.save(file)
    expected = pixels_of(array, COLOUR)
    for form in (picture, picture.convert("RGBA"), file, str(file)):
        np.testing.assert_array_equal(pixels_of(form, COLOUR), expected)


def test_a_sample_has_the_name_that_it_was_given(tmp_path: Path) -> None:
    """A picture in a file is called by its file, anything else as the program calls it."""
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    names = [sample_of(form, PICTURES, "it").name for form in (np.zeros((9, 9), np.uint8), Image.new("L", (9, 9)))]
    assert names == ["it", "it"]
    assert sample_of(tmp_path / "a.png", PICTURES, "it").name == "a.png"
    assert sample_of(np.zeros((1, 28, 28), np.float32), TENSORS, "it").name == "it"


@given(npst.arrays(np.float32, (1, 28, 28), elements=st.floats(-1e3, 1e3, width=32)), st.booleans())
def test_the_only_input_may_come_with_or_without_the_axis_of_frames(array: Array, batched: bool) -> None:
    """A plain array is the model's only input, and becomes a batch of one."""
    (tensor,) = values_of(array[None] if batched else array).values()
    assert tensor.shape == (1, 1, 28, 28)
    np.testing.assert_array_equal(tensor[0], array)


def test_floats_are_tensors_for_a_model_of_pictures_too() -> None:
    """A program that normalised the picture itself gives the tensor."""
    tensor = values_of(np.ones((1, 1, 28, 28), np.float32), PICTURES)["image"]
    assert tensor.dtype == np.float32


def test_bytes_are_numbers_for_a_model_of_tensors() -> None:
    """A uint8 array is no picture where the model takes none."""
    plan = plan_of(TensorSpec("x", "float32", (None, 4, 5, 3)))
    sample = sample_of_array(np.full((4, 5, 3), 7, np.uint8), plan, None, "it")
    assert sample.values is not None
    assert sample.values["x"].dtype == np.float32
    assert (sample.values["x"] == 7).all()


def test_tensors_by_name_get_the_models_types_and_extra_ones_are_left_out() -> None:
    """Lists count as arrays; every tensor is contiguous, and only those of the model are passed on."""
    given = {"mask": np.ones((1, 8), np.float32)[:, ::2], "ids": [[1, 2, 3, 4, 5]], "other": "anything"}
    values = values_of(given, TWO)
    assert list(values) == ["ids", "mask"]
    assert [array.dtype.name for array in values.values()] == ["int64", "float32"]
    assert all(array.flags.c_contiguous for array in values.values())
    assert values["ids"].tolist() == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize("length", [0, 1, 99])
def test_a_dynamic_side_takes_any_length(length: int) -> None:
    """A side that the plan leaves open is whatever the program gives, with or without the axis of frames."""
    for ids in (np.zeros(length, np.int64), np.zeros((1, length), np.int64)):
        assert values_of({"ids": ids, "mask": np.zeros(4)}, TWO)["ids"].shape == (1, length)


@pytest.mark.parametrize(
    ("given", "plan", "says"),
    [
        (3, PICTURES, "cannot infer on a int; give a picture (Pillow or uint8 array), a path, or tensors by name"),
        (None, TENSORS, "cannot infer on a NoneType"),
        (b"bytes", PICTURES, "cannot infer on a bytes"),
        ([1.0], TENSORS, "cannot infer on a list"),
        (Image.new("L", (3, 3)), TENSORS, "mnist does not take pictures; give its input tensors (image float32 [1, 1"),
        (np.zeros(4), TWO, "two has 2 inputs; give them by name (ids int64 [1, ?], mask float32 [1, 4])"),
        ({"ids": [1]}, TWO, "it lacks the model's input mask; it holds ids; two takes ids int64 [1, ?],"),
        ({}, TWO, "it lacks the model's input ids, mask;"),
        ({"ids": ["a"], "mask": [0] * 4}, TWO, "it: ids must be numbers, not"),
        ({"ids": [1j], "mask": [0] * 4}, TWO, "it: ids must be numbers, not complex128"),
        ({"ids": [1], "mask": [0] * 5}, TWO, "it: mask must be [1, 4] (one frame), not [1, 5]"),
        ({"ids": [1], "mask": [[0] * 4] * 2}, TWO, "it: mask must be [1, 4] (one frame), not [2, 4]"),
        ({"ids": [1 << 63], "mask": [0] * 4}, TWO, "it: ids is int64, -9.22337e+18 to 9.22337e+18;"),
        ({"ids": [np.nan], "mask": [0] * 4}, TWO, "nan is outside"),
        ({"ids": [1], "mask": [0, 0, 0, 1e39]}, TWO, "it: mask is float32, -3.40282e+38 "),
        ({"ids": 1, "mask": [0] * 4}, TWO, "it: ids must be [1, ?] (one frame), not []"),
        (np.zeros((28, 28), np.float32), PICTURES, "it: image must be [1, 1, 28, 28] (one frame), not [28, 28]"),
        ("nowhere.png", PICTURES, "input nowhere.png does not exist"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(given: object, plan: Plan, says: str) -> None:
    """The sentence names what was given and what the model takes."""
    with pytest.raises(InputError) as caught:
        sample_of(given, plan, "it")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_is_one_picture(tmp_path: Path) -> None:
    """A folder or an archive of several is refused with how many it holds; of one it is taken."""
    for name in ("a.png", "b.png"):
        Image.new("L", (28, 28), 9).save(tmp_path / name)
    with pytest.raises(InputError, match="holds 2 frames; give one picture at a time"):
        sample_of(tmp_path, PICTURES, "it")
    (tmp_path / "b.png").unlink()
    assert (pixels_of(tmp_path) == 9).all()
    np.savez(tmp_path / "one.npz", image=np.zeros((1, 1, 28, 28), np.float32))
    assert values_of(tmp_path / "one.npz")["image"].shape == (1, 1, 28, 28)


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, max_dims=5, max_side=4)))
def test_any_array_becomes_a_sample_or_a_sentence(array: Array) -> None:
    """No type and no shape ends in another error, and what comes out fits the model."""
    for plan in (PICTURES, TENSORS, plan_of(TensorSpec("x", "int8", (None, None, 2)))):
        try:
            sample = sample_of_array(array, plan, Preprocess.from_json(plan.input), "it")
        except InputError as error:
            assert "\n" not in str(error)
            continue
        if sample.values is None:
            assert sample.pixels is not None
            assert sample.pixels.shape == (28, 28, 1)
        else:
            (spec,) = plan.crossing(0)
            assert sample.values[spec.name].dtype == spec.dtype
            assert sample.values[spec.name].shape[0] == 1
