"""The names of fits."""

import subprocess
import sys

import pytest

from partway.partitioner.plan.pictures.fits import Letterbox, is_fit, letterbox_of, split_crop


@pytest.mark.parametrize(
    ("fit", "box"),
    [
        ("letterbox", Letterbox((114,), False)),
        ("letterbox-0", Letterbox((0,), False)),
        ("letterbox-topleft", Letterbox((114,), True)),
        ("letterbox-255-topleft", Letterbox((255,), True)),
        ("letterbox-124,116,104", Letterbox((124, 116, 104), False)),
    ],
)
def test_a_letterbox_is_its_colour_and_its_place(fit: str, box: Letterbox) -> None:
    """Grey 114 in the middle unless the name says otherwise."""
    assert letterbox_of(fit) == box
    assert is_fit(fit)


@pytest.mark.parametrize(
    "fit", ["letterbox-", "letterbox-256", "letterbox-1,2", "letterbox-topleft-114", "crop-256", "", None, 3, "fit"]
)
def test_a_plan_has_no_other_fits(fit: object) -> None:
    """Neither misspelt ones nor crop-SIZE, which is two fields of a plan."""
    assert not is_fit(fit)


def test_the_size_of_a_crop_is_apart_from_its_name() -> None:
    """Other fits have none."""
    assert split_crop("crop-256") == ("crop", 256)
    assert split_crop("crop") == ("crop", 0)
    assert split_crop("letterbox-114") == ("letterbox-114", 0)


def test_names_of_fits_are_checked_without_numpy() -> None:
    """A device parses its options before it imports it."""
    code = "import sys, partway.partitioner.plan.pictures.fits; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
