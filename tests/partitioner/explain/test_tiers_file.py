"""tiers.json beside a plan: sound, and damaged."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from partway.cli.main import main
from partway.errors import InputError
from partway.partitioner.decide.estimate import Link
from partway.partitioner.explain.tiers_file import read_tiers
from partway.partitioner.plan.plan_file import load_plan


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


def test_tiers_hosts_and_links_are_read(out: Path) -> None:
    """In the file's order, with the seconds of each host's profile and the bytes of each cut."""
    plan = load_plan(out / "net")
    tiers = read_tiers(out / "net" / "tiers.json", plan)
    assert [tier.name for tier in tiers.tiers] == ["device", "edge", "cloud"]
    assert [[host.name for host in tier.hosts] for tier in tiers.tiers] == [["pi"], ["box"], ["Big(GPU)"]]
    assert tiers.tiers[0].hosts[0].block_s == (1.0, 2.0)
    assert tiers.links["pi", "box"] == Link(8e5, 0.05)
    assert (tiers.input_bytes, tiers.output_bytes) == (20000, (5000, 40))
    assert tiers.origin == "pi"


def test_the_answers_way_back_counts_when_asked_for(out: Path) -> None:
    """Scission counts none."""
    plan = load_plan(out / "net")
    path = out / "net" / "tiers.json"
    assert read_tiers(path, plan).reply_bytes == 0
    assert read_tiers(path, plan, count_reply=True).reply_bytes == 40 + 160


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", '{"tiers": 3, "links": []}', '{"tiers": [], "links": [{}]}']
)
def test_a_file_that_is_none_is_one_sentence(out: Path, text: str) -> None:
    """It names the file and where the format is described."""
    path = out / "net" / "tiers.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"tiers\.json describes no tiers \(docs/profiles\.md") as caught:
        read_tiers(path, load_plan(out / "net"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bandwidth", [0, -1, "fast", float("inf")])
def test_a_link_must_carry_something(out: Path, bandwidth: object) -> None:
    """More than nothing, less than everything."""
    path = out / "net" / "tiers.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["links"][0]["bandwidth_bps"] = bandwidth
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(InputError, match="describes no tiers"):
        read_tiers(path, load_plan(out / "net"))
