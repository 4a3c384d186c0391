"""Any MODEL of a command as a file that can be cut."""

from __future__ import annotations

import pytest
from tests.support.torch_project import MODULE, SIDE

from partway.cli.main import main
from partway.errors import InputError
from partway.partitioner.resolve import is_torch, is_zoo_name, model_file

pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_options_for_modules_are_for_modules(tmp_path, capsys):
    """--weights, --example-input and --random-weights with another kind of model say what they are for."""
    assert main(["cuts", "model.onnx", "--example-input", "1x3"]) == 2
    assert "are for PyTorch modules" in capsys.readouterr().err
    assert main(["cuts", "model.onnx", "--random-weights"]) == 2
    assert "models by name" in capsys.readouterr().err
    assert main(["cuts", "nowhere_to_be_found:Net", "--example-input", "1x3"]) == 2
    assert "no Python module 'nowhere_to_be_found'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "by_torch", "by_name"),
    [
        ("model.onnx", False, False),
        ("model.tflite", False, False),
        ("package.module:factory", True, False),
        ("net.pt2", True, False),
        ("NET.PT2", True, False),
        ("weights.pth", True, False),
        ("resnet18", False, True),
        ("mnist", False, False),
    ],
)
def test_models_are_told_apart_by_how_they_are_written(model, by_torch, by_name):
    """``module:factory``, files by their suffix, and names of the zoo."""
    assert (is_torch(model), is_zoo_name(model)) == (by_torch, by_name)


def test_a_file_hides_a_name_of_the_zoo(tmp_path, monkeypatch):
    """Someone's own file called resnet18 is meant when it is there."""
    monkeypatch.chdir(tmp_path)
    assert is_zoo_name("resnet18")
    (tmp_path / "resnet18").touch()
    assert not is_zoo_name("resnet18")


def test_a_file_that_can_be_cut_is_taken_as_it_is(tmp_path):
    """Nothing is written, and it is still there afterwards."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"x")
    with model_file(str(path)) as found:
        assert found == path
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("resnet51", "no model of that name; did you mean 'resnet50'"),
        ("zzzz", "`partway models` lists them"),
        ("mnist", "shipped as a plan, which is sliced already"),
        ("nowhere.pt", "there is no file nowhere.pt"),
        ("nowhere.onnx", "nowhere.onnx"),
    ],
)
def test_what_is_not_there_is_named(model, says, capsys):
    """A misspelt name, a shipped plan, a missing file."""
    assert main(["cuts", model]) == 2
    assert says in capsys.readouterr().err


def test_an_exported_module_is_gone_at_the_end(here):
    """Called after its factory while it is there."""
    with model_file(f"{MODULE}:Net", [f"1x3x{SIDE}x{SIDE}"]) as path:
        assert (path.name, path.is_file()) == ("Net.onnx", True)
    assert not path.exists()


def test_an_exported_program_takes_no_options_of_modules(tmp_path):
    """It has its weights and its example in it."""
    for more, says in ((("1x3",), "leave out --example-input"), ((), "has its weights in it")):
        weights = None if more else tmp_path / "w.pt"
        with pytest.raises(InputError, match=says), model_file("net.pt2", more, weights):
            pass
