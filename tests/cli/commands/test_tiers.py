"""``partway tiers``: arguments that say where stages must and may run."""

from argparse import Namespace

import pytest

from partway.cli.commands.tiers import _constraints, add_arguments
from partway.errors import InputError
from partway.system.arguments import Parser


def parsed(*words: str) -> Namespace:
    """The arguments of the verb."""
    parser = Parser()
    add_arguments(parser)
    return parser.parse_args(["plan", *words])


def test_places_are_read_from_the_options() -> None:
    """Tiers that take part, stages by number, hosts by tier."""
    words = ("--use", "edge", "--avoid", "cloud", "--at", "9=edge", "--host", "edge=a,b")
    wanted = _constraints(parsed(*words))
    assert (wanted.use, wanted.avoid) == (frozenset(["edge"]), frozenset(["cloud"]))
    assert (wanted.at, wanted.hosts) == ({9: "edge"}, {"edge": frozenset(["a", "b"])})


@pytest.mark.parametrize(
    "words", [("--at", "x=edge"), ("--at", "²=edge"), ("--at", "9"), ("--host", "edge"), ("--host", "=a")]
)
def test_a_place_that_is_none_is_one_sentence(words: tuple[str, str]) -> None:
    """The sentence shows how it is written."""
    with pytest.raises(InputError, match="for example"):
        _constraints(parsed(*words))
