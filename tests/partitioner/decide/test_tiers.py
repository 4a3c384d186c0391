"""Assignments over device, edge and cloud: Scission's published answers, and everything against exhaustive search."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate, Link, Speeds, estimate
from partway.partitioner.decide.tiers import AssignmentConstraints, Host, Tier, Tiers, best_assignments

CLOUDS = ("2500", "vm2Core", "6700k(GPU)", "6700k(NoGPU)")
MODELS = (
    "vgg19", "xception", "resnet50", "resnet101", "resnet50v2", "resnet101v2", "resnet152v2", "inception_v3",
    "mobilenet", "densenet121", "densenet169", "nasnetlarge",
)  # fmt: skip


@pytest.fixture(scope="module")
def scission(data: Path) -> Any:
    """The measurements as they lie in the file, read without Partway."""
    return json.loads((data / "scission" / "raspi4_profiles.json").read_text(encoding="utf-8"))


def tiers_from(scission: Any, model: str, **hosts: tuple[str, ...]) -> Tiers:
    blocks = scission["models"][model]["blocks"]
    tiers = tuple(
        Tier(tier, tuple(Host(name, tuple(block["seconds"][name] for block in blocks)) for name in names))
        for tier, names in hosts.items()
    )
    links = {
        tuple(pair.split("->")): Link(link["bytes_per_s"] * 8, link["ping_s"])
        for pair, link in scission["network_3g"].items()
    }
    sizes = tuple(block["output_bytes"] for block in blocks)
    return Tiers(tiers, links, sizes, scission["input_bytes"])  # type: ignore[arg-type]


def every_assignment(tiers: Tiers) -> Iterator[tuple[float, int, dict[str, tuple[str, int, int]]]]:
    """Seconds, bytes and (host, first, last) by tier, of all there are: choose hosts, then borders, then add up."""
    blocks = len(tiers.output_bytes)
    for hosts in itertools.product(*([None, *tier.hosts] for tier in tiers.tiers)):
        used = [(tier.name, host) for tier, host in zip(tiers.tiers, hosts, strict=True) if host is not None]
        for borders in itertools.combinations(range(1, blocks), len(used) - 1) if used else ():
            ends = [0, *borders, blocks]
            seconds, moved, at = 0.0, 0, tiers.origin
            for (_, host), first in zip(used, ends, strict=False):
                if at != host.name:
                    if (at, host.name) not in tiers.links:
                        break
                    link = tiers.links[at, host.name]
                    size = (tiers.output_bytes[first - 1] if first else tiers.input_bytes) + tiers.reply_bytes
                    seconds += size / (link.bandwidth_bps / 8) + link.rtt_s
                    moved += size
                at = host.name
            else:
                for (_, host), (first, end) in zip(used, itertools.pairwise(ends), strict=True):
                    seconds += sum(host.block_s[first:end])
                ranges = zip(used, itertools.pairwise(ends), strict=True)
                yield seconds, moved, {tier: (host.name, a, b - 1) for (tier, host), (a, b) in ranges}


def keeps(made: dict[str, tuple[str, int, int]], wanted: AssignmentConstraints) -> bool:
    return (
        all(tier in made for tier in wanted.use)
        and not any(tier in made for tier in wanted.avoid)
        and all(tier in made and made[tier][1] <= block <= made[tier][2] for block, tier in wanted.at.items())
        and all(made[tier][0] in hosts for tier, hosts in wanted.hosts.items() if tier in made)
    )


def shape(one: Any) -> dict[str, tuple[str, int, int]]:
    return {part.tier: (part.host, part.first, part.last) for part in one.ranges}


def test_scissions_published_answers_come_out_to_the_last_decimal(scission: Any) -> None:
    """VGG19, device used, layer 10 on an edge, 16 in a cloud: five rows, seconds and megabytes, ranges and hosts."""
    blocks = scission["models"]["vgg19"]["blocks"]
    tiers = tiers_from(
        scission, "vgg19", device=("raspi4",), edge=("2500", "vm2Core"), cloud=("6700k(GPU)", "6700k(NoGPU)")
    )
    at = {
        layer: next(i for i, b in enumerate(blocks) if b["first_layer"] <= layer <= b["last_layer"])
        for layer in (10, 16)
    }
    wanted = AssignmentConstraints(use=frozenset({"device"}), at={at[10]: "edge", at[16]: "cloud"})
    rows = [
        {
            "seconds": round(one.latency_s, 4),
            "megabytes": round(one.moved_bytes / 1e6, 4),
            **{
                part.tier: f"{blocks[part.first]['first_layer']}-{blocks[part.last]['last_layer']}"
                for part in one.ranges
            },
            "edge_host": one.ranges[1].host,
            "cloud_host": one.ranges[2].host,
        }
        for one in best_assignments(tiers, wanted, 5)
    ]
    assert rows == scission["golden"]["rows"]


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("model", MODELS)
def test_the_best_two_way_split_is_what_exhaustive_search_and_the_estimates_find(
    scission: Any, model: str, cloud: str
) -> None:
    """A Pi 4 and one other host over the file's 3G link, both extremes included, every split in order."""
    tiers = tiers_from(scission, model, device=("raspi4",), cloud=(cloud,))
    everything = sorted(every_assignment(tiers), key=lambda one: one[:2])
    blocks = len(tiers.output_bytes)
    assert len(everything) == blocks + 1
    found = best_assignments(tiers, count=blocks + 1)
    assert [one.latency_s for one in found] == pytest.approx([one[0] for one in everything])
    assert shape(found[0]) == everything[0][2]

    device_s, cloud_s = (tier.hosts[0].block_s for tier in tiers.tiers)
    link = tiers.links["raspi4", cloud]
    sizes = [tiers.input_bytes, *tiers.output_bytes]
    candidates = [*(Candidate(k, "raw", sizes[k]) for k in range(blocks)), Candidate(blocks, None)]
    estimates = [estimate(candidate, Speeds(device_s, cloud_s), link) for candidate in candidates]
    best = min(estimates, key=lambda e: e.total_s)
    assert best.total_s == pytest.approx(found[0].latency_s)
    assert best.candidate.k == (found[0].ranges[0].last + 1 if found[0].ranges[0].tier == "device" else 0)


@pytest.mark.parametrize("model", ["nasnetlarge", "xception", "vgg19"])
def test_the_best_of_three_tiers_are_what_exhaustive_search_finds(scission: Any, model: str) -> None:
    """Without constraints, all five hosts."""
    tiers = tiers_from(
        scission, model, device=("raspi4",), edge=("2500", "vm2Core"), cloud=("6700k(GPU)", "6700k(NoGPU)")
    )
    everything = sorted(every_assignment(tiers), key=lambda one: one[:2])
    found = best_assignments(tiers, count=40)
    assert [one.latency_s for one in found] == pytest.approx([one[0] for one in everything[:40]])
    assert [one.moved_bytes for one in found] == [one[1] for one in everything[:40]]


@st.composite
def made_up(draw: st.DrawFn) -> tuple[Tiers, AssignmentConstraints]:
    blocks = draw(st.integers(1, 4))
    number = st.integers(0, 1000).map(lambda n: n / 1000)
    tiers = tuple(
        Tier(
            f"t{level}",
            tuple(
                Host(f"h{level}{i}", tuple(draw(st.lists(number, min_size=blocks, max_size=blocks))))
                for i in range(draw(st.integers(1, 2)))
            ),
        )
        for level in range(draw(st.integers(1, 4)))
    )
    names = [(level, host.name) for level, tier in enumerate(tiers) for host in tier.hosts]
    pairs = [
        (one, other)
        for (low, one), (high, other) in itertools.product(names, names)
        if low < high or one[:2] == other[:2] == "h0"
    ]
    links = {
        pair: Link(draw(st.sampled_from([8e2, 8e3, 8e5])), draw(number)) for pair in pairs if draw(st.integers(0, 4))
    }
    sizes = draw(st.lists(st.integers(0, 500), min_size=blocks + 1, max_size=blocks + 1))
    tier_names = [tier.name for tier in tiers]
    subsets = st.sets(st.sampled_from(tier_names), max_size=2).map(frozenset)
    at = draw(st.dictionaries(st.integers(0, blocks - 1), st.sampled_from(tier_names), max_size=2))
    chosen = draw(st.sampled_from(tiers))
    hosts = {chosen.name: frozenset({chosen.hosts[-1].name})} if draw(st.booleans()) else {}
    made = Tiers(tiers, links, tuple(sizes[1:]), sizes[0], draw(st.sampled_from([0, 30])))
    return made, AssignmentConstraints(draw(subsets), draw(st.one_of(st.just(frozenset()), subsets)), at, hosts)


@settings(max_examples=150, deadline=None)
@given(made_up(), st.integers(1, 6))
def test_any_chain_under_any_constraints_is_what_exhaustive_search_finds(
    made: tuple[Tiers, AssignmentConstraints], count: int
) -> None:
    """Up to four tiers of two hosts, links missing, constraints at random; nothing left is an error."""
    tiers, wanted = made
    allowed = sorted((one for one in every_assignment(tiers) if keeps(one[2], wanted)), key=lambda one: one[:2])
    if not allowed:
        with pytest.raises(InputError, match="no assignment meets all"):
            best_assignments(tiers, wanted, count)
        return
    found = best_assignments(tiers, wanted, count)
    assert [one.latency_s for one in found] == pytest.approx([one[0] for one in allowed[:count]])
    assert all(keeps(shape(one), wanted) for one in found)
    assert len({tuple(one.ranges) for one in found}) == len(found)


def small(**changes: Any) -> Tiers:
    tiers = (Tier("device", (Host("pi", (1.0, 2.0)),)), Tier("cloud", (Host("gpu", (0.1, 0.2)),)))
    given_ = {"tiers": tiers, "links": {("pi", "gpu"): Link(8e3, 0.5)}, "output_bytes": (100, 10), "input_bytes": 900}
    return Tiers(**{**given_, **changes})


def test_the_answers_way_back_can_be_counted() -> None:
    """With it an assignment takes as long as Partway's own estimate says, bytes there and back."""
    found = best_assignments(small(reply_bytes=40), AssignmentConstraints(at={0: "device", 1: "cloud"}))[0]
    mine = estimate(Candidate(1, "raw", 100, 40), Speeds((1.0, 2.0), (0.1, 0.2)), Link(8e3, 0.5))
    assert found.latency_s == pytest.approx(mine.total_s) == pytest.approx(1.0 + 0.14 + 0.5 + 0.2)
    assert found.moved_bytes == 140


def test_the_input_can_lie_elsewhere() -> None:
    """A camera at the edge: the device would have to be sent the input, and without a link it cannot take part."""
    found = best_assignments(small(source="gpu"), count=9)
    assert [shape(one) for one in found] == [{"cloud": ("gpu", 0, 1)}]
    assert found[0].moved_bytes == 0


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (AssignmentConstraints(use=frozenset({"fog"})), "there is no tier 'fog'"),
        (AssignmentConstraints(at={2: "cloud"}), "there is no block 2"),
        (AssignmentConstraints(hosts={"cloud": frozenset({"pi"})}), "tier cloud has no host 'pi'"),
        (AssignmentConstraints(at={0: "cloud", 1: "device"}), "no assignment meets all"),
    ],
)
def test_constraints_that_cannot_be_met_say_so(wanted: AssignmentConstraints, says: str) -> None:
    """Names that do not exist, and a chain that would have to run backwards."""
    with pytest.raises(InputError, match=says):
        best_assignments(small(), wanted)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"output_bytes": ()}, "a block and a host"),
        ({"output_bytes": (1,)}, "pi has 2 times for 1 blocks"),
        ({"source": "moon"}, "'moon' is none of pi, gpu"),
        ({"tiers": (Tier("a", (Host("x", (1.0, -1.0)),)),)}, "x has negative"),
        ({"tiers": (Tier("a", (Host("x", (1.0, 1.0)), Host("x", (1.0, 1.0)))),)}, "once only"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], says: str) -> None:
    """Times, blocks, hosts and the source have to agree."""
    with pytest.raises(InputError, match=says):
        small(**changes)
