"""The table of ``partway models``."""

import json
from typing import Any

import pytest

from partway.cli.show.models import show_models

ROW: dict[str, Any] = {
    "name": "net",
    "input": [3, 224, 224],
    "answers": "1000 classes",
    "parameters": 11_700_000,
    "weights": "",
    "needs": "torch",
    "plans": [],
}


def test_a_model_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Without trained weights it is random only, without a plan it is made when first used."""
    show_models([ROW], as_json=False)
    printed = capsys.readouterr().out
    for cell in ("net", "3x224x224", "11.7 M", "random only", "when first used"):
        assert cell in printed


def test_json_is_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Unchanged."""
    show_models([ROW], as_json=True)
    assert json.loads(capsys.readouterr().out) == {"models": [ROW]}
