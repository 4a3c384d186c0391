"""``partway train mnist``: its options and what it prints."""

import argparse
import json

import pytest
from tests.support.mnist_files import write_mnist

from partway.cli.commands.train import mnist_arguments, run
from partway.system.arguments import Parser


@pytest.fixture
def folders(tmp_path):
    """A small data set, and where results go; skipped without torch or onnx."""
    pytest.importorskip("onnx")
    pytest.importorskip("torch")
    return write_mnist(tmp_path / "mnist"), tmp_path / "out"


def parsed(*words: str) -> argparse.Namespace:
    """The options of the verb."""
    parser = Parser()
    mnist_arguments(parser)
    return parser.parse_args(words)


def test_the_command_trains_and_prints(folders, capsys):
    """Figures on stdout for people; with --json the record alone is there, the figures on stderr."""
    data, out = folders
    words = ["--data", str(data), "--out", str(out), "--epochs", "1", "--device", "cpu"]
    assert run(parsed(*words)) == 0
    assert "Test set: average loss " in capsys.readouterr().out
    assert run(parsed(*words, "--json", "--fresh")) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["epochs"] == 1
    assert "Test set: average loss " in output.err


@pytest.mark.parametrize("words", [("--epochs", "0"), ("--epochs", "x"), ("--seed", "-1"), ("--device", "tpu")])
def test_wrong_numbers_are_refused_by_the_parser(words, capsys):
    """The usage error has exit code 2 and names the option."""
    with pytest.raises(SystemExit, match="2"):
        parsed("--data", "a", "--out", "b", *words)
    assert words[0] in capsys.readouterr().err
