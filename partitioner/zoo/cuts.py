"""The cuts of a zoo model: the useful ones, plus more where those are few, so that there are splits to try.

A user's own model gets the useful ones only. Zoo models also get splits in the middle, to keep a value on the device,
to compare, or to fill a pipeline, even where these never win on latency.
"""

from __future__ import annotations

from collections.abc import Sequence

from partway.partitioner.cuts.candidates import Frontier, legal_cuts, useful_cuts
from partway.partitioner.cuts.crossing import input_cut, wire_bytes
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.cut import Cut

LEAST, MOST = 3, 6
APART = 0.01
"""Cuts with a smaller share of the work between them count as one."""
WIDEST = 1.1
"""An additional cut may send at most this multiple of the input's bytes."""


def cuts_of(graph: Graph) -> tuple[Cut, ...]:
    """Nested inner cuts, from input to output; fewer than LEAST only where the graph has no more."""
    useful, legal = useful_cuts(graph, limit=MOST), legal_cuts(graph)
    if not set(useful) <= {one.cut for one in legal}:
        return useful
    chosen = [one for one in legal if one.cut in useful]
    total_work, input_bytes = graph.work(graph.everything) or 1, wire_bytes(graph, input_cut(graph))

    def gap(one: Frontier) -> float:
        """The least share of the work between this cut and one that is there, the two ends included."""
        return min(abs(one.work - other) for other in (0, total_work, *(other.work for other in chosen))) / total_work

    for one in _shrinking([one for one in legal if len(one.cut.values) == 1], input_bytes):
        if len(chosen) < LEAST and all(abs(one.work - other.work) > APART * total_work for other in chosen):
            chosen.append(one)
    narrow = [one for one in legal if len(one.cut.values) == 1 and one.size_bytes <= WIDEST * input_bytes]
    while len(chosen) < LEAST and narrow and gap(best := max(narrow, key=gap)) > APART:
        chosen.append(best)
    while len(chosen) < LEAST and (apart := [one for one in legal if gap(one) > APART * 10]):
        chosen.append(min(apart, key=lambda one: one.size_bytes))
    return tuple(one.cut for one in sorted(chosen, key=lambda one: one.prefix.bit_count()))


def _shrinking(chain: Sequence[Frontier], smallest: float) -> list[Frontier]:
    """Cuts that send strictly fewer bytes than the input and all cuts before them."""
    found = []
    for one in chain:
        if one.size_bytes < smallest:
            found.append(one)
            smallest = one.size_bytes
    return found
