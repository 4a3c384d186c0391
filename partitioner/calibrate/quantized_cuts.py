"""Cuts inside the integer arithmetic of a quantized model: legal, but the engine computes differently on either side.

Between a dequantize and the next quantize operator (QDQ) an engine runs integer kernels in one piece. A cut there
makes both stages compute that piece in floats, so answers differ by rounding from the unsplit model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partway.engines.interface import Engine
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.formats.unsplit_model import load_unsplit
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.parity import relative_error
from partway.partitioner.profile.measure import sample_values

QUANTISED = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
SAMPLES = 4


def cuts_in_floats(graph: Graph, cuts: Sequence[Cut]) -> list[Cut]:
    """The cuts that cross a quantized model where its values are floats."""
    if not any(operator.kind in QUANTISED for operator in graph.operators):
        return []
    return [cut for cut in cuts if any(_is_float(graph, name) for name in cut.values if name in graph.producers)]


def _is_float(graph: Graph, name: str) -> bool:
    return name in graph.values and np.issubdtype(np.dtype(graph.values[name].dtype), np.floating)


def nearest(graph: Graph, cut: Cut) -> Cut | None:
    """The legal cut of quantized values nearest to ``cut``, by the work before it; None when there is none."""
    rows = {row.cut: row for row in legal_cuts(graph)}
    sound = [row for row in rows.values() if not cuts_in_floats(graph, [row.cut])]
    here = graph.work(_prefix(graph, cut))
    return min(sound, key=lambda row: abs(row.work - here)).cut if sound else None


def _prefix(graph: Graph, cut: Cut) -> int:
    prefix = 0
    for name in cut.values:
        if name in graph.producers:
            prefix |= graph.ancestors[graph.producers[name]]
    return prefix


def difference(model: Path, chain: Chain, engine: Engine) -> float:
    """The worst relative error of the chain's answers against the unsplit model's, on SAMPLES random inputs."""
    unsplit = load_unsplit(model, engine)
    worst = 0.0
    for seed in range(SAMPLES):
        values = sample_values(chain, seed)
        want, got = unsplit.run(values), chain.run(values, 0, len(chain.stages))
        worst = max(worst, *(relative_error(want[name], got[name]) for name in chain.plan.answers))
    return worst


def warning(graph: Graph, model: Path, chain: Chain, engine: Engine) -> str | None:
    """A warning when a cut of the chain is between floats and changes the answers, else None."""
    found = cuts_in_floats(graph, chain.plan.cuts[1:-1])
    if not found or not (worst := difference(model, chain, engine)):
        return None
    better = nearest(graph, found[0])
    instead = "leave it out" if better is None else f"cut at {better} instead"
    return (
        f"the cut {found[0]} lies inside the integer arithmetic of a quantized model, so that answers differ from the"
        f" unsplit model's by up to {worst:.1%} of their range; {instead}"
    )
