"""The tables of ``partway calibrate``."""

from types import SimpleNamespace
from typing import Any

import pytest

from partway.cli.show.calibration import show_calibration
from partway.partitioner.profile.predict import Errors


def test_errors_are_shown_by_kind_and_model(capsys: pytest.CaptureFixture[str]) -> None:
    """Kinds with most points first; a kind too rare for a line of its own says so; models keep their sign."""
    made: Any = SimpleNamespace(
        about={"machine": "pi4"},
        regression=SimpleNamespace(kinds={"Conv": None}),
        total=Errors(3, 0.05, 0.2),
        models={"net": -0.07},
        operators={"Rare": Errors(2, 0.5, 0.9), "Conv": Errors(40, 0.1, 0.3)},
    )
    show_calibration(made, as_json=False)
    printed = capsys.readouterr().out
    assert printed.index("Conv") < printed.index("Rare (as all kinds)")
    assert "pi4: error for models left out" in printed and "net: -7%" in printed
    assert "half within ±5%, nine in ten within ±20%" in printed
