"""tiers.json beside a plan: which profiles belong to which tier, and the links between the hosts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partway.errors import InputError, mapped
from partway.partitioner.decide.candidates import reply_bytes
from partway.partitioner.decide.estimate import Link
from partway.partitioner.decide.tiers import Host, Tier, Tiers
from partway.partitioner.explain.explanation import machine_of
from partway.partitioner.plan.plan import Plan

TIERS_FILE = "tiers.json"


def read_tiers(path: Path, plan: Plan, count_reply: bool = False) -> Tiers:
    """The tiers of a plan from a JSON file; profiles are found relative to it.

    ``{"tiers": [{"name": "device", "hosts": {"pi": "pi.json"}}, ...], "links": [{"from": "pi", "to": "gpu",
    "bandwidth_bps": 1.6e6, "rtt_s": 0.1}, ...]}``; a tier's hosts are names with the files of their profiles, the
    first tier's first host has the input. ``count_reply``: the model's outputs travel back over every link. Raises
    InputError when the file or a profile is no good.
    """
    kinds = (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError)
    with mapped(dict.fromkeys(kinds, InputError), f"{path} describes no tiers (docs/profiles.md has the format)"):
        data = json.loads(path.read_text(encoding="utf-8"))
        tiers = tuple(_tier(one, path.parent, plan) for one in data["tiers"])
        links = {(str(one["from"]), str(one["to"])): _link(one) for one in data["links"]}
    names = {host.name for tier in tiers for host in tier.hosts}
    unknown = sorted({end for ends in links for end in ends} - names)
    if unknown:
        raise InputError(f"{path} has links of {', '.join(unknown)}, which is a host of no tier")
    sizes = [sum(spec.size_bytes() for spec in plan.crossing(k)) for k in plan.splits]
    return Tiers(tiers, links, tuple(sizes[1:]), sizes[0], reply_bytes(plan) if count_reply else 0)


def _tier(data: Mapping[str, Any], folder: Path, plan: Plan) -> Tier:
    return Tier(
        str(data["name"]),
        tuple(Host(str(name), _seconds(folder / file, plan)) for name, file in data["hosts"].items()),
    )


def _seconds(path: Path, plan: Plan) -> tuple[float, ...]:
    return machine_of(json.loads(path.read_text(encoding="utf-8")), plan).stage_s


def _link(data: Mapping[str, Any]) -> Link:
    bandwidth_bps, rtt_s = float(data["bandwidth_bps"]), float(data["rtt_s"])
    if not 0 < bandwidth_bps < math.inf or not 0 <= rtt_s < math.inf:
        raise ValueError(f"a link of {bandwidth_bps} bit/s and {rtt_s} s")
    return Link(bandwidth_bps, rtt_s)
