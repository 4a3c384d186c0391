"""A cloud that announced itself and left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from partway.edge.discovery.zeroconf import FoundCloud, Search
from partway.edge.main import main


def test_a_cloud_that_left_without_a_goodbye_is_replaced_by_an_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What zeroconf still names but nobody serves costs a warning, not the answers."""
    monkeypatch.setattr(Search, "result", lambda self, model, digest, round_trip_s: FoundCloud("127.0.0.1:1", {}))
    out = tmp_path / "out.json"
    options = ["--model", "mnist", "--split", "1", "--frames", "3", "--timeout", "300ms", "--json", str(out)]
    assert main(options) == 0
    made = json.loads(out.read_text())
    assert [frame["answered_by"] for frame in made["frames"]] == ["cloud"] * 3
    assert "no cloud answers at 127.0.0.1:1" in caplog.text
