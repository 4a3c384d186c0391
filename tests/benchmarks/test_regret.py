"""The benchmark of auto's choices: how a cell is judged, and one real cell with everything in it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.regret import cell_figures, summary, table
from PIL import Image

ROOT = Path(__file__).parents[2]


def row(k: int, codec: str | None, estimated_s: float, p50_s: float, chosen: bool = False) -> dict[str, object]:
    parts = {"total_s": estimated_s, "measured_s": None}
    return {"k": k, "codec": codec, "bytes": 10, "estimate": parts, "p50_s": p50_s, "chosen": chosen}


def test_regret_is_what_the_choice_costs_over_the_best():
    rows = [row(0, "raw", 0.109, 0.1), row(1, "fp16", 0.07, 0.1), row(2, None, 0.12, 0.11, chosen=True)]
    cell = cell_figures(rows)
    assert cell["regret"] == pytest.approx(0.1)
    assert (cell["chosen"], cell["best"], cell["estimates"]) == ("2 device", "0 raw", 3)
    assert cell["within"] == 2
    assert cell["worst"] == pytest.approx(-0.3)
    told = summary([{**cell, "model": "m", "rate": "8Mbps", "rtt": "10ms"}])
    assert "regret 10.00 % on average" in told
    assert "2 of 3 estimates (66.7 %)" in told
    assert "| m | 8Mbps, 10ms | 2 device | 110.0 ms | 0 raw | 100.0 ms | 10.0 % | 2 of 3 |" in table(
        [{**cell, "model": "m", "rate": "8Mbps", "rtt": "10ms"}]
    )


@pytest.mark.slow
def test_a_real_cell_measures_every_candidate(tmp_path: Path) -> None:
    """The shipped model over one link: device, link and cloud in three processes; no figure is asserted."""
    Image.new("L", (28, 28)).save(tmp_path / "0.png")
    words = ["--models", "mnist", "--rates", "50Mbps", "--round-trips", "5ms", "--input", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.regret", *words, "--json", str(tmp_path / "out.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads((tmp_path / "out.json").read_text())["cells"]
    ways = {(candidate["k"], candidate["codec"]) for candidate in cell["candidates"]}
    assert {(0, "raw"), (1, "raw"), (1, "fp16"), (2, "raw"), (3, None), (0, "png"), (0, "webp-lossless")} <= ways
    assert all(candidate["p50_s"] > 0 for candidate in cell["candidates"])
    assert "1 cells: regret" in done.stdout
