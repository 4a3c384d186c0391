"""What a device draws, as people write it and as a frame costs it."""

import pytest

from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate, Estimate
from partway.partitioner.decide.power import POWERS, Power, energy_j, parse_power, power_of

POWER = Power("test", compute_w=6.0, send_w=4.0, wait_w=2.0)


@pytest.mark.parametrize(
    ("text", "watts"),
    [
        ("compute=6.4W,send=4.1W,wait=2.7W", (6.4, 4.1, 2.7)),
        (" wait = 500mW , compute=2w, send=.75 W".replace(" W", "W"), (2.0, 0.75, 0.5)),
        ("pi5,send=5W", (9.8, 5.0, 3.2)),
        ("PI4", (6.4, 3.9, 2.7)),
    ],
)
def test_power_is_read_as_people_write_it(text: str, watts: tuple[float, ...]) -> None:
    """A shipped name, one with parts replaced, or all three parts in any order, watts or milliwatts."""
    power = parse_power(text)
    assert (power.compute_w, power.send_w, power.wait_w) == pytest.approx(watts)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither of pi4, pi5"),
        ("pi3", "neither of pi4, pi5"),
        ("compute=6.4W", "lacks send and wait"),
        ("compute=6.4,send=4.1W,wait=2.7W", "watts above zero"),
        ("compute=6.4W,send=0W,wait=2.7W", "watts above zero"),
        ("compute=6.4W,send=-1W,wait=2.7W", "watts above zero"),
        ("pi4,idle=2W", "neither of"),
        (f"pi4,send={'9' * 400}W", "watts above zero"),
    ],
)
def test_a_power_that_says_too_little_is_refused(text: str, says: str) -> None:
    """Unknown names and parts, missing units and parts, nothing and less are one sentence each."""
    with pytest.raises(InputError, match=says):
        parse_power(text)


def test_a_changed_model_no_longer_bears_the_name_of_what_was_measured() -> None:
    """Only an untouched shipped model calls itself by the board's name alone, and the table stays as it was."""
    assert parse_power("pi4") is POWERS["pi4"]
    assert parse_power("pi4,send=5W").name == "Raspberry Pi 4, adapted"
    assert POWERS["pi4"].send_w == 3.9


@pytest.mark.parametrize("power", POWERS.values(), ids=str)
def test_shipped_models_draw_least_while_they_wait(power: Power) -> None:
    """Computing takes more than sending and sending more than waiting, within what the boards' supplies give."""
    assert 0 < power.wait_w < power.send_w < power.compute_w < 25


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", POWERS["pi4"]),
        ("Raspberry Pi 5 Model B Rev 1.0", POWERS["pi5"]),
        ("Raspberry Pi 400 Rev 1.0", None),
        ("Raspberry Pi Compute Module 4 Rev 1.0", None),
        ("Some x86 processor", None),
    ],
)
def test_a_board_is_known_by_its_own_name_only(machine: str, expected: Power | None) -> None:
    """Relatives of the measured boards do not get their figures."""
    assert power_of(machine) is expected


def test_energy_charges_every_part_of_a_frame_at_its_own_power() -> None:
    """Computing, transfer, and waiting for round trip, queue, decoding and suffix are charged each once."""
    made = Estimate(Candidate(1, "raw", 1), 0.1, 0.02, 0.3, queue_s=0.01, decode_s=0.02, suffix_s=0.03)
    assert energy_j(made, POWER, rtt_s=0.1) == pytest.approx(0.12 * 6 + 0.2 * 4 + (0.1 + 0.06) * 2)
    assert energy_j(made, POWER) == pytest.approx(0.12 * 6 + 0.3 * 4 + 0.06 * 2)


def test_what_sends_nothing_waits_for_nothing() -> None:
    """All on the device costs computing only, whatever the round trip."""
    assert energy_j(Estimate(Candidate(3, None), 0.5), POWER, rtt_s=9.0) == pytest.approx(3.0)
