"""What ``partway convert scission`` prints."""

from pathlib import Path

import pytest

from partway.cli.show.scission import show_scission
from partway.partitioner.profile.scission_import import Block, Scission


def test_models_have_a_total_for_every_platform(capsys: pytest.CaptureFixture[str]) -> None:
    """And the next command to try."""
    blocks = (Block(0, 1, 1000, {"Pi": 0.25, "VM": 0.01}), Block(2, 3, 10, {"Pi": 0.25, "VM": 0.02}))
    show_scission(
        Scission("file", {"Pi": "a small one", "VM": "a large one"}, {"net": blocks}, {}, 150_000), [Path("out")]
    )
    printed = capsys.readouterr().out
    assert "1 models, input 150 KB" in printed
    assert "500 ms" in printed and "30.0 ms" in printed
    assert "try: partway tiers out" in printed
