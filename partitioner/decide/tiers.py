"""Assign a chain of blocks to three or more tiers in a row, such as device, edge and cloud.

Each tier runs one contiguous range of blocks, or none, on one of its hosts. The time of an assignment is the sum of its
blocks' seconds on their hosts and of the transfers between them, as Scission has it (Lockhart et al., UCC'20): bytes
over bandwidth, and the link's round trip once. Everything adds up range by range and every constraint concerns one
range or two neighbours, so dynamic programming over (blocks done, host of the last one) finds the N best.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from partway.errors import InputError
from partway.partitioner.decide.estimate import Link


@dataclass(frozen=True, slots=True)
class Host:
    """A machine and its seconds for every block of the chain."""

    name: str
    block_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """Machines, of which at most one takes part."""

    name: str
    hosts: tuple[Host, ...]


@dataclass(frozen=True)
class Tiers:
    """A measured chain and where it can run. Raises InputError when its parts do not fit together.

    ``tiers`` are in the order that a frame passes them; one may be left out. ``links`` has the link from one host to
    another by their names; pairs that it lacks cannot follow one another. ``source`` is the host that holds the input
    (default: the first tier's first). ``reply_bytes`` go back over every link that was used; Scission counts none.
    """

    tiers: tuple[Tier, ...]
    links: Mapping[tuple[str, str], Link]
    output_bytes: tuple[int, ...]
    input_bytes: int
    reply_bytes: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        hosts = [host for tier in self.tiers for host in tier.hosts]
        names = [host.name for host in hosts]
        if not self.output_bytes or not hosts:
            raise InputError("tiers need a block and a host at least")
        if len(set(names)) < len(names):
            raise InputError(f"a host's name must be there once only, not twice as in {', '.join(names)}")
        for host in hosts:
            if len(host.block_s) != len(self.output_bytes):
                raise InputError(f"{host.name} has {len(host.block_s)} times for {len(self.output_bytes)} blocks")
            if not all(0 <= seconds < math.inf for seconds in host.block_s):
                raise InputError(f"{host.name} has negative or endless times; measure it again")
        if self.source and self.source not in names:
            raise InputError(f"the input's host {self.source!r} is none of {', '.join(names)}")

    @property
    def origin(self) -> str:
        """The host that holds the input."""
        return self.source or next(host.name for tier in self.tiers for host in tier.hosts)


@dataclass(frozen=True, slots=True)
class AssignmentConstraints:
    """The limits of an assignment.

    ``use`` and ``avoid``: tiers that must or must not take part. ``at``: block index -> tier that must run it.
    ``hosts``: tier -> the only hosts of it that may.
    """

    use: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()
    at: Mapping[int, str] = field(default_factory=dict)
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Blocks ``first`` to ``last`` (both included) on one host, and what brought their input there."""

    tier: str
    host: str
    first: int
    last: int
    compute_s: float
    link_s: float
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """Ranges in order, one a tier that takes part."""

    ranges: tuple[BlockRange, ...]

    @property
    def latency_s(self) -> float:
        """Seconds from the input to the answer."""
        return math.fsum(part for one in self.ranges for part in (one.compute_s, one.link_s))

    @property
    def moved_bytes(self) -> int:
        """Bytes over all links together."""
        return sum(one.moved_bytes for one in self.ranges)


Rank = tuple[float, int]
Partial = tuple[Rank, tuple[BlockRange, ...]]


def best_assignments(
    tiers: Tiers, constraints: AssignmentConstraints | None = None, count: int = 1
) -> list[Assignment]:
    """The ``count`` fastest assignments, fastest first, of equals the one that moves less; fewer where there are fewer.

    Raises InputError when no assignment meets the constraints, or when they name unknown tiers, hosts or blocks.
    """
    constraints = constraints or AssignmentConstraints()
    _check(tiers, constraints)
    if count < 1:
        raise InputError(f"the number of assignments must be 1 or more, not {count}")
    done: dict[tuple[int, str], list[list[Partial]]] = {}
    for level, tier in enumerate(tiers.tiers):
        for host in _hosts(tier, constraints):
            done[level, host.name] = _ends(tiers, constraints, level, host, done, count)
    finished = (
        partial
        for (level, _), ends in done.items()
        if not _needed(tiers, constraints, level + 1, len(tiers.tiers))
        for partial in ends[-1]
    )
    best = [Assignment(ranges) for _, ranges in heapq.nsmallest(count, finished, key=lambda partial: partial[0])]
    if not best:
        raise InputError("no assignment meets all of these constraints, or links are missing; relax one of them")
    return best


def _ends(
    tiers: Tiers,
    constraints: AssignmentConstraints,
    level: int,
    host: Host,
    done: Mapping[tuple[int, str], list[list[Partial]]],
    count: int,
) -> list[list[Partial]]:
    """For every block, the best beginnings of the chain whose last range ends with it on this host."""
    tier = tiers.tiers[level]
    blocks = len(tiers.output_bytes)
    found: list[list[Partial]] = [[] for _ in range(blocks)]
    for first in range(blocks):
        befores = heapq.nsmallest(
            count, _arrivals(tiers, constraints, level, host, first, done), key=lambda one: one[0]
        )
        compute_s = 0.0
        for last in range(first, blocks):
            if not befores or constraints.at.get(last, tier.name) != tier.name:
                break
            compute_s += host.block_s[last]
            for (seconds, moved), ranges, link_s, moved_bytes in befores:
                one = BlockRange(tier.name, host.name, first, last, compute_s, link_s, moved_bytes)
                found[last].append(((seconds + compute_s, moved), (*ranges, one)))
    return [heapq.nsmallest(count, some, key=lambda partial: partial[0]) for some in found]


def _arrivals(
    tiers: Tiers,
    constraints: AssignmentConstraints,
    level: int,
    host: Host,
    first: int,
    done: Mapping[tuple[int, str], list[list[Partial]]],
) -> Iterator[tuple[Rank, tuple[BlockRange, ...], float, int]]:
    """Ways to bring the input of block ``first`` to this host: rank including the transfer, ranges, the transfer."""
    if first == 0:
        befores: Iterable[tuple[int, str, Sequence[Partial]]] = [(-1, tiers.origin, [((0.0, 0), ())])]
        size = tiers.input_bytes
    else:
        befores = [(at, name, ends[first - 1]) for (at, name), ends in done.items() if at < level]
        size = tiers.output_bytes[first - 1]
    for at, name, partials in befores:
        if _needed(tiers, constraints, at + 1, level):
            continue
        link_s, moved_bytes = 0.0, 0
        if name != host.name:
            link = tiers.links.get((name, host.name))
            if link is None:
                continue
            moved_bytes = size + tiers.reply_bytes
            link_s = link.transfer_s(moved_bytes)
        for (seconds, moved), ranges in partials:
            yield (seconds + link_s, moved + moved_bytes), ranges, link_s, moved_bytes


def _needed(tiers: Tiers, constraints: AssignmentConstraints, first: int, end: int) -> bool:
    """Whether a tier that must take part is among those from ``first`` up to ``end``, which are left out."""
    return any(tier.name in constraints.use for tier in tiers.tiers[first:end])


def _hosts(tier: Tier, constraints: AssignmentConstraints) -> list[Host]:
    if tier.name in constraints.avoid:
        return []
    allowed = constraints.hosts.get(tier.name)
    return [host for host in tier.hosts if allowed is None or host.name in allowed]


def _check(tiers: Tiers, constraints: AssignmentConstraints) -> None:
    names = [tier.name for tier in tiers.tiers]
    for name in (*constraints.use, *constraints.avoid, *constraints.at.values(), *constraints.hosts):
        if name not in names:
            raise InputError(f"there is no tier {name!r}; the tiers are {', '.join(names)}")
    for block in constraints.at:
        if not 0 <= block < len(tiers.output_bytes):
            raise InputError(f"there is no block {block}; the chain has blocks 0 to {len(tiers.output_bytes) - 1}")
    host_names = {tier.name: [host.name for host in tier.hosts] for tier in tiers.tiers}
    for name, hosts in constraints.hosts.items():
        for host in sorted(hosts):
            if host not in host_names[name]:
                raise InputError(f"tier {name} has no host {host!r}; its hosts are {', '.join(host_names[name])}")
