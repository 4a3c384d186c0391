"""The parser that every command line uses."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from partway.system.arguments import Parser


def made() -> Parser:
    """A parser like those of the commands."""
    parser = Parser("edge-run")
    parser.add_named("model", metavar="NAME|FILE", help="what to run")
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--key-kind", choices=("one", "two"))
    parser.add_argument("--rtt", default="0ms")
    parser.add_argument("--order", choices=("source", "as-answered"))
    parser.add_argument("--stages", type=int, nargs="*")
    parser.add_argument("-n", type=int)
    return parser


def refused(parser: argparse.ArgumentParser, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence that a command line is refused with."""
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err.strip()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--modle", "mnist"], "edge-run: unknown option --modle; did you mean --model?"),
        (["mnist", "--rt=4ms"], "edge-run: unknown option --rt; did you mean --rtt?"),
        (["mnist", "--zzz"], "edge-run: unknown option --zzz; see `edge-run --help`"),
        (["mnist", "--order", "as-answerd"], "edge-run: --order cannot be 'as-answerd'; did you mean as-answered?"),
        (["mnist", "--order", "xyz"], "edge-run: --order cannot be 'xyz'; choose source or as-answered; see `edge-run"),
        (["mnist", "resnet18"], "edge-run: unexpected argument 'resnet18'; see `edge-run --help`"),
        (["mnist", "--model", "resnet18"], "edge-run: unexpected argument 'resnet18'"),
        (["--model"], "edge-run: argument --model: expected one argument"),
        (["--model", "--rtt", "1ms"], "edge-run: argument --model: expected one argument"),
        ([], "edge-run: the following arguments are required: NAME|FILE"),
        (["mnist", "-n", "x"], "edge-run: argument -n: invalid int value: 'x'"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong, and the name that was probably meant, on standard error, with exit code 2."""
    assert refused(made(), words, capsys).startswith(sentence)


@pytest.mark.parametrize(
    "words",
    [
        ["mnist", "--token", "hunter2"],
        ["mnist", "--token=hunter2"],
        ["--token", "hunter2"],
        ["mnist", "--key-kind", "hunter2"],
        ["mnist", "--tokn-file", "hunter2"],
    ],
)
def test_a_secret_is_not_echoed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No message quotes the value of an option named like a secret, whether the option exists or not."""
    sentence = refused(made(), words, capsys)
    assert "hunter2" not in sentence and ("--tok" in sentence or "--key-kind" in sentence)


def test_no_option_is_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    """``--token`` is not taken for ``--token-file``: the sentence names the full option."""
    assert refused(made(), ["mnist", "--token", "x"], capsys).endswith("did you mean --token-file?")


@pytest.mark.parametrize(
    "words",
    [
        ["mnist", "--rtt", "4ms"],
        ["--rtt", "4ms", "mnist"],
        ["--rtt", "4ms", "--model", "mnist"],
        ["--model=mnist", "--rtt", "4ms"],
        ["--rtt=4ms", "--", "mnist"],
    ],
)
def test_a_model_is_given_by_place_or_by_name(words: list[str]) -> None:
    """Both spellings give the same, wherever they stand."""
    args = made().parse_args(words)
    assert (args.model, args.rtt) == ("mnist", "4ms")


def test_values_that_look_like_flags_pass() -> None:
    """Standard input, negative numbers, attached values and words with spaces are no unknown options."""
    args = made().parse_args(["-", "-n5", "--stages", "-1", "2", "--rtt", "- 4 ms"])
    assert (args.model, args.n, args.stages, args.rtt) == ("-", 5, [-1, 2], "- 4 ms")


def test_sub_parsers_behave_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """A verb's own parser refuses abbreviations too, and a verb that is misspelt is suggested."""
    parser = Parser("partway")
    parser.add_argument("--version", action="store_true")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    verify = verbs.add_parser("verify")
    verify.add_argument("--token-file")
    assert isinstance(verify, Parser)
    assert parser.parse_args(["verify", "--token-file", "x"]).token_file == "x"
    assert refused(parser, ["verfy"], capsys) == "partway: unknown command 'verfy'; did you mean verify?"
    assert refused(parser, ["--vers"], capsys) == "partway: unknown option --vers; did you mean --version?"
    sentence = refused(parser, ["verify", "--token", "hunter2"], capsys)
    assert sentence == "partway verify: unknown option --token; did you mean --token-file?"


def test_help_names_both_spellings() -> None:
    """The help of a positional argument says that an option gives it as well."""
    assert "(also as --model NAME|FILE)" in " ".join(made().format_help().split())


def test_a_right_command_line_loads_no_metadata() -> None:
    """Suggestions need Python's package metadata, which is slow to load: only a mistake loads it."""
    program = (
        "import sys; from partway.system.arguments import Parser; p = Parser('x'); p.add_argument('--a');"
        " p.parse_args(['--a', '1']); print('importlib.metadata' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
