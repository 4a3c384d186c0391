"""tiers.json beside a plan: sound, and damaged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from partway.cli.main import main


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"pi.json"', '"gone.json"', "describes no tiers"),
        ('"from": "pi"', '"from": "moon"', "which is a host of no tier"),
        ('"rtt_s": 0.05', '"rtt_s": -1', "describes no tiers"),
    ],
)
def test_a_damaged_tiers_file_is_one_sentence(out: Path, old: str, new: str, says: str) -> None:
    """A missing profile, a link to nowhere, a time below zero."""
    path = out / "net" / "tiers.json"
    assert re.search(re.escape(old), path.read_text())
    path.write_text(path.read_text().replace(old, new), encoding="utf-8")
    assert main(["tiers", str(out / "net")]) == 2
