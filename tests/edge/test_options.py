"""The table of options, and what follows from it: the command line, Session's arguments, the documentation."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from partway.edge import Session
from partway.edge.main import parser
from partway.edge.options import CODEC_HELP, TABLE, Options, options_of
from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.power import POWERS
from partway.proto.codecs.registry import codec_help

ROOT = Path(__file__).parents[2]


def test_the_arguments_of_a_session_are_the_options_of_the_table() -> None:
    """Every option that says Session is a keyword with the same default, and there are no others."""
    arguments = dict(inspect.signature(Session).parameters)
    model = arguments.pop("model")
    assert (model.kind, model.default) == (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty)
    assert {argument.kind for argument in arguments.values()} == {inspect.Parameter.KEYWORD_ONLY}
    options = [option for option in TABLE if "Session" in option.programs and not option.required]
    assert {name: argument.default for name, argument in arguments.items()} == {
        option.name: option.default for option in options
    }


def test_the_command_line_has_every_option_of_the_table() -> None:
    """By its flag, with the table's default."""
    args = parser().parse_args(["mnist"])
    for option in TABLE:
        if not option.required:
            assert getattr(args, option.name) == (list(option.default) if option.is_repeatable else option.default)
            assert option.flag in parser().format_help()


def test_defaults_are_those_of_a_run_without_options() -> None:
    """A command line with nothing but a model, a Session and Options of the same model agree."""
    given = options_of(vars(parser().parse_args(["mnist"])))
    for made in (Session("mnist").options, Options("mnist")):
        for name in Options.__slots__:
            if name not in ("objective", "access"):
                assert getattr(made, name) == getattr(given, name), name
        assert made.objective.name == given.objective.name == "latency"


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("--deadline 20ms --rtt 0ms --timeout 2s", {"deadline_s": 0.02, "rtt_s": 0, "timeout_s": "2s"}),
        ("--bandwidth 2Mbps --window 3 --batch 4", {"bandwidth_bps": 2e6, "window": 3, "batch": 4}),
        ("--max-device-memory 64MB --max-drop 0.5", {"max_device_memory": 64e6, "max_drop": 0.5}),
        ("--power pi5 --objective energy", {"power": POWERS["pi5"], "objective": "energy"}),
        ("--keep-on-device input --keep-on-device a", {"keep_on_device": ["input", "a"]}),
        ("--cloud 192.0.2.7,[::1]:9", {"cloud": ["192.0.2.7", "[::1]:9"]}),
        ("--split 2 --codec fp16 --audit 1%", {"split": 2, "codec": "fp16", "audit": 0.01}),
        (
            "--mean 0.5,0.4,0.3 --std 2 --scale 1/255 --fit letterbox-0 --channels BGR --task classify",
            {
                "mean": [0.5, 0.4, 0.3],
                "std": 2,
                "scale": 1 / 255,
                "fit": "letterbox-0",
                "channels": "BGR",
                "task": "classify",
            },
        ),
        ("--shape a=1x3x8x6 --shape b=1,2", {"shape": {"a": (1, 3, 8, 6), "b": [1, 2]}}),
        ("--cache here --threads 2 --engine litert", {"cache": Path("here"), "threads": 2, "engine": "litert"}),
    ],
)
def test_text_and_values_mean_the_same(words: str, arguments: dict[str, Any]) -> None:
    """What a command line says as text, a program says as numbers, paths and sequences, or as the same text."""
    by_text, by_value = options_of(vars(parser().parse_args(["mnist", *words.split()]))), Session("mnist", **arguments)
    for name in Options.__slots__:
        if name == "objective":
            assert by_value.options.objective.name == by_text.objective.name
        else:
            assert getattr(by_value.options, name) == getattr(by_text, name), name


def test_a_cloud_without_a_port_is_at_8001() -> None:
    """In a list, too, and for IPv6."""
    assert options_of({"model": "mnist", "cloud": "h,192.0.2.7:9,[::1]"}).cloud == "h:8001,192.0.2.7:9,[::1]:8001"
    assert options_of({"model": "mnist", "keep_on_device": "input"}).constraints == Constraints(None, ("input",), 1.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"window": 2.5}, "--window must be 1 to 64, or auto, not 2.5"),
        ({"threads": True}, "--threads must be 0"),
        ({"deadline_s": -1.0}, "--deadline must be seconds, zero or more, not -1"),
        ({"bandwidth_bps": 0}, "--bandwidth must be bits per second, greater than zero"),
        ({"bandwidth_bps": float("inf")}, "--bandwidth must be"),
        ({"max_drop": "much"}, "--max-drop is percentage points, 0 to 100, not much"),
        ({"audit": "2"}, "--audit is a share of the frames"),
        ({"tls": "yes"}, "--tls is True or False"),
        ({"cache": 3}, "--cache is a path"),
        ({"when_behind": "drop-oldst"}, "--when-behind cannot be 'drop-oldst'; did you mean 'drop-oldest'"),
        ({"in_order": "sauce"}, "--order cannot be 'sauce'"),
        ({"cloud": "autoo"}, "did you mean 'auto'"),
        ({"cloud": ""}, "is not HOST:PORT"),
        ({"model": ""}, "--model is text"),
        ({"tls_cert": "c.pem"}, "needs both --tls-cert FILE and --tls-key FILE"),
    ],
)
def test_a_value_that_is_wrong_in_itself_is_refused(given: dict[str, Any], says: str) -> None:
    """With the flag it belongs to, before anything is loaded."""
    with pytest.raises(InputError) as refused:
        options_of({"model": "mnist", **given})
    assert says in str(refused.value)


def test_a_session_never_reads_its_arguments_as_a_command_line() -> None:
    """A model that looks like a flag is a model that nobody knows."""
    with pytest.raises(InputError, match="unknown model '--help'"), Session("--help", cloud="none"):
        pass


def test_the_page_of_options_is_current() -> None:
    """docs/options.md is what the table gives; scripts/option-docs writes it."""
    script = [sys.executable, str(ROOT / "scripts" / "option-docs"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_help_on_codecs_is_that_of_the_registry() -> None:
    """The text that is written here names every family that ships."""
    assert codec_help() == CODEC_HELP


def test_a_command_line_is_parsed_without_numpy() -> None:
    """``--help`` and a wrong flag do not wait for it."""
    program = "import sys, partway.edge.main as main; main.parser(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
