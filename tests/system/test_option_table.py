"""A small table of options, on a command line and from a program."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from partway.errors import InputError
from partway.system.arguments import Parser
from partway.system.option_table import add_options, amount, checked, one_of, option, path, rows, switch, texts, whole
from partway.units import parse_s


@dataclass(frozen=True)
class Brew:
    """Options of a coffee machine."""

    cups: int = field(default=1, metadata=option("--cups", whole(1, 12), "how many", "N", programs=("brew",)))
    wait_s: float | None = field(
        default=None, metadata=option("--wait", amount(parse_s, "seconds"), "before it", "TIME", programs=("brew",))
    )
    roast: str = field(
        default="light", metadata=option("--roast", one_of("light", "dark"), "100% arabica", programs=("brew", "grind"))
    )
    into: Path | None = field(default=None, metadata=option("--into", path, "a file", programs=("grind",)))
    extras: tuple[str, ...] = field(default=(), metadata=option("--extra", texts, "several", programs=("brew",)))
    hot: bool = field(default=False, metadata=option("--hot", switch, "or cold", programs=("brew",)))
    noted: str = "no option"


def _parsed(*words: str) -> dict[str, Any]:
    parser = Parser("brew")
    add_options(parser, rows(Brew))
    return checked(rows(Brew), vars(parser.parse_args(words)))


def test_a_field_without_a_row_is_no_option() -> None:
    """The rows are those of the fields that carry one, in order, of all programs or of one."""
    assert [row.name for row in rows(Brew)] == ["cups", "wait_s", "roast", "into", "extras", "hot"]
    assert [row.name for row in rows(Brew, "grind")] == ["roast", "into"]


def test_a_command_line_gives_the_fields_their_values() -> None:
    """Defaults where nothing is said; text is parsed, switches are switched, repeated flags are gathered."""
    assert Brew(**_parsed()) == Brew()
    words = ("--cups", "3", "--wait", "20ms", "--roast", "dark", "--into", "x", "--extra", "a", "--extra", "b", "--hot")
    assert Brew(**_parsed(*words)) == Brew(3, 0.02, "dark", Path("x"), ("a", "b"), True)
    assert _parsed("--extra", "a")["extras"] == ("a",)
    assert _parsed()["extras"] == (), "one command line leaves nothing behind for the next"


def test_a_program_gives_values_or_the_same_text() -> None:
    """None means the default; what is no option is not looked at."""
    given = {"cups": 3, "wait_s": 0.02, "into": Path("x"), "extras": "a", "hot": True, "roast": None, "sugar": 9}
    assert Brew(**checked(rows(Brew), given)) == Brew(3, 0.02, "light", Path("x"), ("a",), True)
    assert checked(rows(Brew), {"wait_s": "20ms", "cups": "3"})["wait_s"] == 0.02


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cups": 13}, "--cups must be 1 to 12, not 13"),
        ({"cups": 1.5}, "--cups must be 1 to 12, not 1.5"),
        ({"cups": "many"}, "--cups must be 1 to 12, not many"),
        ({"wait_s": 0}, "--wait must be seconds, greater than zero, not 0"),
        ({"wait_s": float("nan")}, "--wait must be seconds"),
        ({"wait_s": "20"}, "duration '20' needs a number and a unit"),
        ({"roast": "drak"}, "--roast cannot be 'drak'; did you mean 'dark'? known: light, dark"),
        ({"into": 3}, "--into is a path, not 3"),
        ({"hot": "yes"}, "--hot is True or False, not 'yes'"),
        ({"extras": [None]}, "--extra is text, not None"),
    ],
)
def test_a_wrong_value_is_refused_by_its_flag(given: dict[str, Any], says: str) -> None:
    """In one sentence, whether a command line or a program gave it."""
    with pytest.raises(InputError) as refused:
        checked(rows(Brew), given)
    assert says in str(refused.value)


def test_help_shows_a_percent_sign_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """argparse formats help texts; the table's are plain."""
    with pytest.raises(SystemExit):
        _parsed("--help")
    assert "100% arabica" in capsys.readouterr().out
