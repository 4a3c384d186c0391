"""Options that name a model and describe its input."""

from pathlib import Path

import pytest

from partway.cli.commands.slicing.source import plan_folder, slice_arguments
from partway.errors import InputError
from partway.partitioner.zoo import model_folder
from partway.system.arguments import Parser


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """The sentence names the option."""
    (tmp_path / "file").write_text("")
    parser = Parser()
    slice_arguments(parser)
    model = str(model_folder("mnist") / "stage0.onnx")
    args = parser.parse_args([model, "--out", str(tmp_path / "file" / "plan")])
    with pytest.raises(InputError, match="give another --out"), plan_folder(args):
        pass
