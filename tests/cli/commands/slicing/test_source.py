"""Options that name a model and describe its input."""

from pathlib import Path

import pytest

from partway.cli.commands.slicing.source import numbers, plan_folder, shapes, slice_arguments
from partway.errors import InputError
from partway.partitioner.zoo import model_folder
from partway.system.arguments import Parser


def test_shapes_are_read_by_name() -> None:
    """A name may itself hold an equals sign; what is no size is refused with an example."""
    assert shapes(["image=1x3x224x224", "a=b=2"]) == {"image": (1, 3, 224, 224), "a=b": (2,)}
    for text in ("image", "=1x2", "image=1x0", "image=1xa", "image=1x²", "image=1x" + "9" * 5000):
        with pytest.raises(InputError, match="for example --shape"):
            shapes([text])


def test_numbers_are_read_with_their_option() -> None:
    """Nothing given is nothing; what is no number is refused with the option's name."""
    assert numbers(None, "--mean") is None
    assert numbers("0.5,1", "--mean") == (0.5, 1.0)
    with pytest.raises(InputError, match="--std 'x' is not a list of numbers"):
        numbers("x", "--std")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """The sentence names the option."""
    (tmp_path / "file").write_text("")
    parser = Parser()
    slice_arguments(parser)
    model = str(model_folder("mnist") / "stage0.onnx")
    args = parser.parse_args([model, "--out", str(tmp_path / "file" / "plan")])
    with pytest.raises(InputError, match="give another --out"), plan_folder(args):
        pass
