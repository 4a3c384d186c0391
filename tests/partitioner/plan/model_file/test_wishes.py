"""The options that describe a model file: text and values alike, and one sentence for what is wrong."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from partway.errors import InputError
from partway.partitioner.plan.model_file.wishes import MODEL_OPTIONS, NO_WISHES, Wishes, read_labels, shapes, wishes_of


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"mean": "0.5,0.4,0.3"}, Wishes(mean=(0.5, 0.4, 0.3))),
        ({"mean": [0.5, 0.4, 0.3], "std": 2}, Wishes(mean=(0.5, 0.4, 0.3), std=(2.0,))),
        ({"scale": "1/255"}, Wishes(scale=1 / 255)),
        ({"scale": 1}, Wishes(scale=1.0)),
        ({"fit": "letterbox-114-topleft", "channels": "BGR"}, Wishes(fit="letterbox-114-topleft", channels="BGR")),
        ({"labels": ["a", "b"]}, Wishes(labels=("a", "b"))),
        ({"task": "classify"}, Wishes(task="classify")),
        ({"shape": ["a:0=1x3x8x6", "b=1"]}, Wishes(shape=(("a:0", (1, 3, 8, 6)), ("b", (1,))))),
        ({"shape": ["a=1,3"]}, Wishes(shape=(("a", (1, 3)),))),
        ({"shape": {"a": (1, 3)}}, Wishes(shape=(("a", (1, 3)),))),
        ({"shape": "a=1x3"}, Wishes(shape=(("a", (1, 3)),))),
        ({"shape": [], "labels": None, "mean": None}, NO_WISHES),
    ],
)
def test_text_and_values_mean_the_same(values: dict[str, Any], expected: Wishes) -> None:
    """A command line gives text, a program numbers and sequences."""
    assert wishes_of(values) == expected


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"mean": "a,b"}, "--mean 'a,b' is not a list of numbers"),
        ({"mean": "nan"}, "--mean 'nan' is not a list of numbers"),
        ({"mean": []}, "--mean .* is not a list of numbers"),
        ({"std": "1,0,1"}, "--std divides pixels, so that no number of it may be 0"),
        ({"scale": "1/0"}, "--scale '1/0' is no number to multiply pixels by"),
        ({"scale": "0"}, "--scale '0' is no number"),
        ({"scale": True}, "--scale True is no number"),
        ({"fit": "squeeze"}, "--fit cannot be 'squeeze'; known: stretch, crop"),
        ({"fit": "letterbox-300"}, "--fit cannot be 'letterbox-300'"),
        ({"channels": "rgb"}, "--channels cannot be 'rgb'"),
        ({"task": "clasify"}, "--task cannot be 'clasify'.*classify"),
        ({"shape": ["1x3"]}, "--shape '1x3' is not NAME=SIZES"),
        ({"shape": ["a=1xx3"]}, "--shape 'a=1xx3' is not NAME=SIZES"),
        ({"shape": {"a": (1, 0)}}, "--shape .* is not NAME=SIZES"),
    ],
)
def test_what_is_wrong_is_one_sentence(values: dict[str, Any], says: str) -> None:
    """It names the option and gives an example or what is known."""
    with pytest.raises(InputError, match=says):
        wishes_of(values)


def test_labels_are_read_a_line_each(tmp_path: Path) -> None:
    """No file, no labels; a file that is not there or no text is one sentence."""
    assert read_labels(None) == ()
    path = tmp_path / "labels.txt"
    path.write_text("köter\ncat\n", encoding="utf-8")
    assert wishes_of({"labels": path}).labels == wishes_of({"labels": str(path)}).labels == ("köter", "cat")
    path.write_bytes(b"\xff\xfe\xff")
    for bad in (path, tmp_path / "none.txt"):
        with pytest.raises(InputError, match=rf"labels file .*{bad.name} cannot be read"):
            read_labels(bad)


def test_a_name_may_hold_an_equals_sign() -> None:
    """The last one counts; huge and odd numbers are no sizes."""
    assert shapes(["a=b=2"]) == (("a=b", (2,)),)
    for text in ("image", "=1x2", "image=1x0", "image=1xa", "image=1x²", "image=1x" + "9" * 5000):
        with pytest.raises(InputError, match="for example --shape"):
            shapes([text])


def test_other_wishes_have_another_digest() -> None:
    """Each option counts; without any there is none."""
    given = {"mean": 0.5, "std": 2, "scale": 1, "fit": "crop", "channels": "BGR", "labels": ["a"], "task": "tensors"}
    each = [wishes_of({name: value}) for name, value in {**given, "shape": "a=1"}.items()]
    assert NO_WISHES.digest == "" and not NO_WISHES.flags
    assert len({wishes.digest for wishes in each}) == len(each) == len(MODEL_OPTIONS)
    assert [wishes.flags for wishes in each] == [[row.flag] for row in MODEL_OPTIONS]


def test_sizes_are_by_input() -> None:
    """As readers of model formats take them."""
    assert Wishes(shape=shapes(["a=1x2"])).sizes == {"a": (1, 2)}


def test_options_are_checked_without_numpy() -> None:
    """A device parses them before it imports anything."""
    code = "import sys, partway.partitioner.plan.model_file.wishes; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
