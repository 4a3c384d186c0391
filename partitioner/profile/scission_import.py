"""Scission's published measurements as plans and profiles of block chains without files.

Scission (Lockhart et al., UCC'20) timed the blocks of Keras models on a device, edge hosts and cloud hosts. Nothing of
that can be run here, but everything can be decided: a block becomes a stage without a file, a platform a profile, the
bytes a block was seen to hand on an opaque tensor of that many bytes. So only ``raw`` crosses: what a codec would make
of an activation cannot be known without it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from partway.engines.interface import NO_ENGINE
from partway.errors import InputError, mapped
from partway.partitioner.decide.estimate import Link
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.proto.tensors import TensorSpec

ROLES = ("device", "edge", "cloud")
INPUT = "input"
_ROLE = re.compile(r"\(([a-z]+)\)\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """Layers ``first`` to ``last`` of a model: bytes they hand on and seconds per platform."""

    first: int
    last: int
    output_bytes: int
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scission:
    """A file of measurements: platforms with what they are, models as chains of blocks, links between platforms."""

    source: str
    platforms: Mapping[str, str]
    models: Mapping[str, tuple[Block, ...]]
    links: Mapping[tuple[str, str], Link]
    input_bytes: int

    def role(self, platform: str) -> str:
        """``device``, ``edge`` or ``cloud``, as the platform's description ends."""
        found = _ROLE.search(self.platforms[platform])
        if found is None or found[1] not in ROLES:
            raise InputError(f"platform {platform} must end in (device), (edge) or (cloud), see docs/profiles.md")
        return found[1]


def read_scission(path: Path) -> Scission:
    """The measurements in a JSON file (docs/profiles.md has the format). Raises InputError when it is something else.

    Platforms with a time for every block of every model; ``ping_s`` counts once a transfer, ``bytes_per_s`` is the
    bandwidth.
    """
    damaged = f"{path} holds no Scission measurements (docs/profiles.md has the format)"
    kinds = (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError)
    with mapped(dict.fromkeys(kinds, InputError), damaged):
        data = json.loads(path.read_text(encoding="utf-8"))
        platforms = {str(name): str(text) for name, text in data["platforms"].items()}
        models = {str(name): _blocks(model["blocks"], platforms) for name, model in data["models"].items()}
        links = {
            _ends(pair): Link(_positive(link["bytes_per_s"]) * 8, _positive(link["ping_s"], zero=True))
            for pair, link in data.get("network_3g", {}).items()
        }
        return Scission(str(data.get("source", "")), platforms, models, links, int(data["input_bytes"]))


def plan_of(measured: Scission, model: str) -> Plan:
    """The plan of one model: a stage a block, none with a file."""
    blocks = measured.models[model]
    names = [INPUT, *(f"layer{block.last}" for block in blocks)]
    sizes = [measured.input_bytes, *(block.output_bytes for block in blocks)]
    specs = [TensorSpec(name, "uint8", (size,)) for name, size in zip(names, sizes, strict=True)]
    stages = tuple(
        Stage("", "", 0, (before,), (after,), block.last - block.first + 1)
        for block, (before, after) in zip(blocks, pairwise(specs), strict=True)
    )
    spans = json.dumps([model, measured.input_bytes, [(b.first, b.last, b.output_bytes) for b in blocks]])
    digest = hashlib.sha256(spans.encode()).hexdigest()
    cuts = tuple(Cut((name,)) for name in names)
    tensors = {spec.name: spec for spec in specs}
    return Plan(model, digest, NO_ENGINE, stages, cuts, tensors, (names[0],), (names[-1],))


def profile_of(measured: Scission, model: str, platform: str, plan: Plan) -> dict[str, Any]:
    """The profile of one model on one platform; fields that the file lacks are left out."""
    return {
        "format": 1,
        "plan": plan.digest,
        "model": model,
        "machine": measured.platforms[platform],
        "engine": "keras",
        "stage_s": [block.seconds[platform] for block in measured.models[model]],
        "source": measured.source,
    }


def tiers_of(measured: Scission) -> dict[str, Any]:
    """The tiers and links of the file in the format of tiers.json (see tiers_file.py)."""
    hosts: dict[str, dict[str, str]] = {role: {} for role in ROLES}
    for platform in measured.platforms:
        hosts[measured.role(platform)][platform] = f"{file_name(platform)}.json"
    return {
        "tiers": [{"name": role, "hosts": hosts[role]} for role in ROLES if hosts[role]],
        "links": [
            {"from": one, "to": other, "bandwidth_bps": link.bandwidth_bps, "rtt_s": link.rtt_s}
            for (one, other), link in measured.links.items()
        ],
    }


def file_name(platform: str) -> str:
    """A platform's name as people type it: ``6700k(GPU)`` becomes ``6700k-gpu``."""
    return re.sub(r"[^a-z0-9_.]+", "-", platform.lower()).strip("-.") or "platform"


def write_all(measured: Scission, out: Path) -> list[Path]:
    """One folder a model below ``out``: plan.json, a profile a platform, tiers.json. Returns the folders.

    Raises InputError when a folder cannot be written, holds a plan of something else, or two names would make the same
    file.
    """
    from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan, save_plan

    files = {platform: f"{file_name(platform)}.json" for platform in measured.platforms}
    folders = {model: out / file_name(model) for model in measured.models}
    for names in (files, folders):
        if len(set(names.values())) < len(names):
            raise InputError(f"two of {', '.join(names)} would be written to the same file; rename one")
    for folder in folders.values():
        if (folder / PLAN_FILE).exists() and load_plan(folder).engine != NO_ENGINE:
            raise InputError(f"{folder} holds the plan of a model that runs; give another --out")
    tiers = tiers_of(measured)
    with mapped({OSError: InputError}, f"{out} cannot be written"):
        for model, folder in folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            plan = plan_of(measured, model)
            save_plan(plan, folder)
            for platform, name in files.items():
                _write(folder / name, profile_of(measured, model, platform, plan))
            _write(folder / "tiers.json", tiers)
    return list(folders.values())


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _blocks(data: list[Mapping[str, Any]], platforms: Mapping[str, str]) -> tuple[Block, ...]:
    blocks = tuple(
        Block(
            int(one["first_layer"]),
            int(one["last_layer"]),
            int(_positive(one["output_bytes"])),
            {platform: _positive(one["seconds"][platform], zero=True) for platform in platforms},
        )
        for one in data
    )
    if not blocks or any(after.first != before.last + 1 for before, after in pairwise(blocks)):
        raise ValueError("the blocks of a model must follow one another without gaps")
    return blocks


def _ends(pair: str) -> tuple[str, str]:
    one, _, other = pair.partition("->")
    return one, other


def _positive(value: Any, zero: bool = False) -> float:
    number = float(value)
    if not 0 <= number < float("inf") or (number == 0 and not zero):
        raise ValueError(f"{value} is no size or time")
    return number
