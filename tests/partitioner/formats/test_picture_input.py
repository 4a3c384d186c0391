"""How pictures become a model's input: options before the file's own word, guesses in words."""

from typing import Any

import pytest

from partway.errors import InputError
from partway.partitioner.formats.picture_input import guess_preprocess, input_size, picture_entry
from partway.partitioner.formats.usual_pictures import HEADS
from partway.partitioner.plan.model_file.model_format import NO_FACTS, Facts
from partway.partitioner.plan.model_file.wishes import Wishes, wishes_of
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto.tensors import Quantization, TensorSpec

FLOATS = TensorSpec("image", "float32", (None, 3, 8, 6))
BYTES = TensorSpec("image", "uint8", (1, 8, 6, 3), Quantization((0.5,), (127,)))


def made(spec: TensorSpec = FLOATS, facts: Facts = NO_FACTS, **wishes: Any) -> Preprocess:
    """The preprocessing that comes of these options."""
    found = Preprocess.from_json(picture_entry([spec], wishes_of(wishes), facts)[0])
    assert found is not None
    return found


def guessed(spec: TensorSpec = FLOATS, facts: Facts = NO_FACTS, **wishes: Any) -> str:
    """What remains a guess."""
    return picture_entry([spec], wishes_of(wishes), facts)[1]


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("float32", (None, 3, 224, 200), (224, 200, 3, "NCHW", 1 / 255)),
        ("float32", (1, 1, 28, 28), (28, 28, 1, "NCHW", 1 / 255)),
        ("uint8", (1, 224, 200, 3), (224, 200, 3, "NHWC", 1.0)),
        ("float32", (None, 4, 28, 28), None),
        ("float32", (None, 3, None, 224), None),
        ("float32", (None, 10), None),
        ("int64", (1, 3, 224, 224), None),
    ],
)
def test_a_models_input_is_guessed_from_its_shape(
    dtype: str, shape: tuple[int | None, ...], expected: tuple[Any, ...] | None
) -> None:
    """One or three channels, first or last, of floats or bytes are a picture; anything else is none."""
    guess = guess_preprocess(TensorSpec("x", dtype, shape))
    found = None if guess is None else (*guess.shape, guess.layout, guess.scale)
    assert found == expected


def test_an_input_of_pictures_has_a_size() -> None:
    """Height and width; none for another input."""
    assert input_size([FLOATS]) == (8, 6)
    assert input_size([FLOATS, FLOATS]) is None
    assert input_size([TensorSpec("x", "float32", (None, 16))]) is None


@pytest.mark.parametrize(
    ("wishes", "fields"),
    [
        ({"fit": "letterbox-0"}, {"fit": "letterbox-0"}),
        ({"fit": "crop-256"}, {"fit": "crop", "crop_from": 256}),
        ({"channels": "BGR", "scale": "1"}, {"order": "BGR", "scale": 1.0}),
        ({"channels": "GREY"}, {"order": "GREY"}),
        ({"mean": "127.5", "std": "127.5", "scale": 1}, {"mean": (127.5,), "std": (127.5,), "scale": 1.0}),
    ],
)
def test_options_set_the_fields_of_the_entry(wishes: dict[str, Any], fields: dict[str, Any]) -> None:
    """Each option its field, and nothing else changes."""
    assert made(**wishes) == Preprocess("image", 8, 6, 3, **fields)


def test_options_count_before_the_files_own_word() -> None:
    """Mean, deviation and scale belong together: one of them given replaces all three of the file."""
    facts = Facts(input={"mean": (0.5,), "std": (0.5,), "order": "BGR", "fit": "letterbox"})
    assert made(facts=facts) == Preprocess("image", 8, 6, 3, fit="letterbox", order="BGR", mean=(0.5,), std=(0.5,))
    assert made(facts=facts, scale=1) == Preprocess("image", 8, 6, 3, fit="letterbox", order="BGR", scale=1.0)
    assert made(facts=facts, fit="stretch").fit == "stretch"
    assert guessed(facts=facts) == ""


def test_what_the_file_says_of_real_numbers_holds_for_quantised_inputs() -> None:
    """Pixels minus 127.5 over 63.75 are integers of half that, around 127."""
    found = made(BYTES, Facts(input={"scale": 1.0, "mean": (127.5,), "std": (63.75,)}))
    assert found.mean == pytest.approx((127.5 - 127 * 0.5 * 63.75,))
    assert found.std == pytest.approx((63.75 * 0.5,))


@pytest.mark.parametrize(
    ("spec", "wishes", "words", "flags"),
    [
        (FLOATS, {}, ("pixels 0..1", "RGB", "stretched"), ("--scale", "--mean", "--std", "--channels", "--fit")),
        (FLOATS, {"scale": 1, "fit": "crop"}, ("RGB",), ("--channels",)),
        (FLOATS, {"channels": "BGR"}, ("pixels 0..1", "stretched"), ("--scale", "--mean", "--std", "--fit")),
        (BYTES, {}, ("RGB", "stretched"), ("--channels", "--fit")),
        (TensorSpec("x", "float32", (1, 1, 8, 8)), {"scale": 1}, ("stretched",), ("--fit",)),
    ],
)
def test_a_guess_is_put_into_words_with_the_options_that_replace_it(
    spec: TensorSpec, wishes: dict[str, Any], words: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    """Only what nobody said is in it."""
    sentence = guessed(spec, **wishes)
    before, _, after = sentence.partition("; set ")
    assert [word for word in ("pixels 0..1", "RGB", "BGR", "stretched") if word in before] == list(words)
    assert [flag for flag in after.replace(",", " ").split() if flag.startswith("--")] == list(flags)


def test_without_a_guess_there_are_no_words() -> None:
    """Everything said."""
    assert guessed(scale=1, channels="RGB", fit="stretch") == ""


@pytest.mark.parametrize(
    ("spec", "wishes", "says"),
    [
        (TensorSpec("x", "float32", (None, 16)), {"mean": 0.5}, r"--mean is for pictures.*inputs: x \[None, 16\]"),
        (FLOATS, {"fit": "digit"}, "--fit digit is for inputs of 28 x 28 x 1"),
        (TensorSpec("x", "float32", (1, 1, 8, 8)), {"channels": "BGR"}, "--channels BGR is for three channels"),
    ],
)
def test_options_that_do_not_fit_the_input_are_refused(spec: TensorSpec, wishes: dict[str, Any], says: str) -> None:
    """None is ignored."""
    with pytest.raises(InputError, match=says):
        picture_entry([spec], wishes_of(wishes), NO_FACTS)


def test_a_model_without_pictures_has_no_entry() -> None:
    """Nor one with two inputs."""
    assert picture_entry([TensorSpec("x", "float32", (None, 16))], Wishes(), NO_FACTS) == ({}, "")
    assert picture_entry([FLOATS, FLOATS], Wishes(), NO_FACTS) == ({}, "")


def test_usual_pictures_of_a_known_head_are_a_better_guess() -> None:
    """Words say whose they are; options and the file count before them."""
    usual = HEADS["yolox"]
    entry, words = picture_entry([FLOATS], Wishes(), NO_FACTS, usual)
    expected = Preprocess("image", 8, 6, 3, fit="letterbox-114-topleft", scale=1.0, order="BGR")
    assert Preprocess.from_json(entry) == expected
    assert words.startswith("pixels 0..255, BGR, letterbox-114-topleft, as YOLOX models take them; set --scale")
    entry, words = picture_entry([FLOATS], wishes_of({"scale": "1/255", "channels": "RGB"}), NO_FACTS, usual)
    assert Preprocess.from_json(entry) == Preprocess("image", 8, 6, 3, fit="letterbox-114-topleft")
    assert words == "letterbox-114-topleft, as YOLOX models take them; set --fit if wrong"


def test_integers_keep_the_pixels_whatever_is_usual() -> None:
    """A range is for floats; a mean of three channels is not for one."""
    entry, _ = picture_entry([BYTES], Wishes(), NO_FACTS, HEADS["lists"])
    assert Preprocess.from_json(entry) == Preprocess("image", 8, 6, 3, "NHWC", "uint8", scale=1.0)
    grey = TensorSpec("x", "float32", (1, 1, 8, 8))
    entry, _ = picture_entry([grey], Wishes(), NO_FACTS, HEADS["db"])
    assert Preprocess.from_json(entry) == Preprocess("x", 8, 8, 1)


def test_a_files_normalisation_of_bytes_is_the_pixels_in_other_words() -> None:
    """Runtimes give uint8 inputs the pixels; what does not fit the integers is left out as well."""
    real = Quantization((1 / 127.5,), (127,))
    for meaning in (real, Quantization((1.0,), (0,))):
        spec = TensorSpec("image", "uint8", (1, 8, 6, 3), meaning)
        for mean in (127.5, 0.0):
            found = made(spec, Facts(input={"scale": 1.0, "mean": (mean,), "std": (127.5,)}))
            inside = meaning.scales == (1.0,)
            assert found.scale == 1.0 and (inside or (found.mean, found.std) == ((0.0,), (1.0,)))
