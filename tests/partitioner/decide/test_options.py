"""The options of every command that decides."""

import argparse

import pytest

from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.options import constraints_of, decision_arguments, objective_of


def parsed(*words: str) -> argparse.Namespace:
    """These words as a command reads them."""
    parser = argparse.ArgumentParser()
    decision_arguments(parser)
    return parser.parse_args(words)


def test_without_options_a_codec_may_cost_one_point_and_latency_decides() -> None:
    """What people want most often."""
    assert constraints_of(parsed()) == Constraints(None, (), 1.0)
    wanted, notes = objective_of(parsed(), "any machine")
    assert (wanted.name, notes) == ("latency", ())


def test_options_become_constraints() -> None:
    """Sizes with their unit, values one by one, points of agreement."""
    given = ("--max-device-memory", "64MB", "--keep-on-device", "input", "--keep-on-device", "a", "--max-drop", "2.5")
    assert constraints_of(parsed(*given)) == Constraints(64e6, ("input", "a"), 2.5)


@pytest.mark.parametrize("drop", ["-1", "100.5", "nan", "inf"])
def test_a_drop_out_of_range_is_refused(drop: str) -> None:
    """Percentage points lie between 0 and 100."""
    with pytest.raises(InputError, match="--max-drop is percentage points, 0 to 100"):
        constraints_of(parsed("--max-drop", drop))


@pytest.mark.parametrize("drop", ["0", "100"])
def test_the_ends_of_the_range_are_in_it(drop: str) -> None:
    """No drop at all, and any."""
    assert constraints_of(parsed("--max-drop", drop)).max_drop == float(drop)


def test_a_size_without_a_unit_is_refused() -> None:
    """The sentence shows a size with one."""
    with pytest.raises(InputError, match="for example 64MB"):
        constraints_of(parsed("--max-device-memory", "64"))


@pytest.mark.parametrize(
    ("words", "machine", "power"),
    [
        ((), "Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 5"),
        ((), "some laptop", "Raspberry Pi 4"),
        (("--power", "pi4"), "Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 4"),
        (("--power", "compute=5W,send=3W,wait=1W"), "some laptop", "the given device: 5 W computing"),
    ],
)
def test_energy_is_that_of_the_given_power_or_the_machines_own(
    words: tuple[str, ...], machine: str, power: str
) -> None:
    """And the note says with which it was worked out."""
    wanted, notes = objective_of(parsed("--objective", "energy", *words), machine)
    assert wanted.name == "energy"
    assert len(notes) == 1
    assert power in notes[0]


def test_other_objectives_say_nothing_of_power() -> None:
    """Even when a power is given."""
    assert objective_of(parsed("--objective", "bytes", "--power", "pi5"), "x")[1] == ()


@pytest.mark.parametrize(
    ("words", "says"), [(("--objective", "speed"), "unknown objective 'speed'"), (("--power", "lots"), "power 'lots'")]
)
def test_an_unknown_objective_or_power_is_one_sentence(words: tuple[str, ...], says: str) -> None:
    """An InputError that quotes what was given."""
    with pytest.raises(InputError, match=says) as caught:
        objective_of(parsed(*words), "x")
    assert "\n" not in str(caught.value)
