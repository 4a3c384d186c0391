"""Groups of fused operators: engines run them as one, and the time of a group is that of its leading operator.

A profile tells which operators ran together on its machine. For a model that never ran there, groups are predicted:
a (leading kind, following kind) pair is fused if the engine fused it more often than not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from partway.errors import InputError
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.profile.file import OperatorSeconds


class Pair(NamedTuple):
    """Kinds of an operator and of the only reader of its output."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Habits:
    """How an engine fuses: the pairs it runs as one, and the leading kind for each set of kinds."""

    fused: frozenset[Pair]
    leaders: Mapping[str, str]

    @classmethod
    def of(cls, seen: Sequence[MeasuredModel]) -> Habits:
        """The majority of the observations."""
        together, apart, leaders = Counter[Pair](), Counter[Pair](), dict[str, Counter[str]]()
        for one in seen:
            together.update(one.together)
            apart.update(one.apart)
            for signature, kind in one.leaders:
                leaders.setdefault(signature, Counter())[kind] += 1
        fused = frozenset(pair for pair, count in together.items() if count > apart[pair])
        return cls(fused, {signature: kinds.most_common(1)[0][0] for signature, kinds in leaders.items()})

    def leader(self, operators: Sequence[Operator]) -> Operator:
        """The leading operator of a group: of the kind observed before, else the one with the most work."""
        kind = self.leaders.get(_signature(operators))
        return next((o for o in operators if o.kind == kind), max(operators, key=lambda o: o.work))


@dataclass(frozen=True, slots=True)
class FusedGroup:
    """Operators of one stage that run as one. ``kind`` tells apart what runs at different speeds (see kind_of).

    ``work`` is in multiply-adds, the rest in bytes, at batch 1; what only passes between the group's own operators is
    not counted.
    """

    name: str
    kind: str
    stage: int
    work: float
    input_bytes: float
    output_bytes: float
    weight_bytes: float


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """A profile as groups with their seconds, each stage's remaining seconds, and the pairs observed.

    ``rest_s`` is a stage's time beyond its operators. ``together`` and ``apart`` count how often a pair ran as one
    and how often it could have and did not; ``leaders`` has the kinds of every fused group and that of its leader.
    """

    model: str
    groups: tuple[tuple[FusedGroup, float], ...]
    rest_s: tuple[float, ...]
    total_s: float
    together: Mapping[Pair, int]
    apart: Mapping[Pair, int]
    leaders: tuple[tuple[str, str], ...]


def measured_groups(
    model: str, graphs: Sequence[Graph], stage_s: Sequence[float], operators: Iterable[OperatorSeconds]
) -> MeasuredModel:
    """Join a profile's operators with the graphs of the stages that they belong to.

    An operator without a known name was inserted by the engine; its time counts as the stage's rest. Raises InputError
    when most of the operators' time belongs to operators that no stage has.
    """
    found: list[tuple[FusedGroup, float]] = []
    rest_s = [float(seconds) for seconds in stage_s]
    indexes: list[Mapping[str | None, int]] = [_by_name(graph) for graph in graphs]
    together, apart = Counter[Pair](), Counter[Pair]()
    taken: list[list[list[int]]] = [[] for _ in graphs]
    leaders: list[tuple[str, str]] = []
    for one in operators:
        stage = one.stage
        index = indexes[stage]
        members = sorted({index[name] for name in (one.name, *one.fused) if name in index})
        if one.name not in index:
            continue
        leader = graphs[stage].operators[index[one.name]]
        found.append((group_of(graphs[stage], members, leader, stage), one.time_s))
        rest_s[stage] -= one.time_s
        taken[stage].append(members)
        if len(members) > 1:
            leaders.append((_signature(graphs[stage].operators[at] for at in members), leader.kind))
    for graph, groups in zip(graphs, taken, strict=True):
        _count_pairs(graph, groups, together, apart)
    named_s, found_s = sum(one.time_s for one in operators if one.name), sum(seconds for _, seconds in found)
    if not found or found_s < named_s / 2:
        raise InputError(
            f"the profile of {model} names operators that its stages do not have; profile it again with --operators"
        )
    return MeasuredModel(
        model, tuple(found), tuple(max(0.0, s) for s in rest_s), sum(stage_s), together, apart, tuple(leaders)
    )


def predicted_groups(graph: Graph, stage: int, habits: Habits) -> list[FusedGroup]:
    """The groups in which a stage's operators will run: neighbours that an engine was seen to run as one do."""
    group_at: list[int] = []
    members: dict[int, list[int]] = {}
    for at, operator in enumerate(graph.operators):
        joined = {
            group_at[b]
            for b in _befores(graph, operator)
            if Pair(graph.operators[b].kind, operator.kind) in habits.fused
        }
        home = min(joined, default=at)
        members[home] = [
            *members.get(home, []),
            *(one for other in sorted(joined - {home}) for one in members.pop(other)),
            at,
        ]
        group_at.append(home)
        for one in members[home]:
            group_at[one] = home
    return [
        group_of(graph, group, habits.leader([graph.operators[at] for at in group]), stage)
        for group in members.values()
    ]


def group_of(graph: Graph, members: Sequence[int], leader: Operator, stage: int) -> FusedGroup:
    """The fused group of these operators."""
    operators = [graph.operators[at] for at in members]
    mask = sum(1 << at for at in members)
    produced = dict.fromkeys(name for one in operators for name in one.outputs)
    read = dict.fromkeys(name for one in operators for name in one.inputs if name not in produced)
    leaving = [name for name in produced if name in graph.outputs or graph.readers.get(name, 0) & ~mask]
    return FusedGroup(
        leader.name,
        kind_of(graph, leader),
        stage,
        float(sum(one.work for one in operators)),
        float(sum(map(graph.size_bytes, read))),
        float(sum(map(graph.size_bytes, leaving))),
        float(graph.weight_bytes(mask)),
    )


def kind_of(graph: Graph, operator: Operator) -> str:
    """The operator's kind; convolutions apart by what they do for an output element, on which their speed depends.

    ``Conv grouped`` reads fewer channels than there are (depthwise ones above all), ``Conv 1x1`` each channel once.
    """
    spec = graph.values.get(operator.inputs[0]) if operator.inputs else None
    if operator.kind != "Conv" or spec is None or len(spec.shape) < 3 or not spec.shape[1] or not operator.work:
        return operator.kind
    elements = sum(graph.size_bytes(name) / graph.values[name].itemsize for name in operator.outputs)
    each = operator.work / elements if elements else 0.0
    if each < spec.shape[1]:
        return "Conv grouped"
    return "Conv 1x1" if each == spec.shape[1] else "Conv"


def _by_name(graph: Graph) -> dict[str | None, int]:
    """Operators by name, and by their first output, which stands for a missing name."""
    found: dict[str | None, int] = {op.outputs[0]: at for at, op in enumerate(graph.operators) if op.outputs}
    found.update({operator.name: at for at, operator in enumerate(graph.operators)})
    return found


def _befores(graph: Graph, operator: Operator) -> list[int]:
    """Operators before this one whose outputs have no other reader, the latest first."""
    alone = {
        graph.producers[name]
        for name in operator.inputs
        if name in graph.producers and graph.readers[name].bit_count() == 1 and name not in graph.outputs
    }
    return sorted(alone, reverse=True)


def _count_pairs(graph: Graph, groups: Sequence[Sequence[int]], together: Counter[Pair], apart: Counter[Pair]) -> None:
    home = {at: index for index, group in enumerate(groups) for at in group}
    for at, operator in enumerate(graph.operators):
        for before in _befores(graph, operator):
            if before in home and at in home:
                pair = Pair(graph.operators[before].kind, operator.kind)
                (together if home[before] == home[at] else apart)[pair] += 1


def _signature(operators: Iterable[Operator]) -> str:
    return " ".join(sorted(operator.kind for operator in operators))
