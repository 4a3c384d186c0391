"""Minimum cut of a flow network with real capacities, on scipy's integer maximum flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError

SCALE = 1 << 28
FOREVER = 1 << 29
"""scipy takes 32-bit capacities. The lowest cost so far becomes ``SCALE``, an uncuttable edge ``FOREVER``; the residual
of an edge in both directions still fits."""
ROUNDS = 40
SOURCE, SINK = 0, 1

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class Network:
    """Edges ``tails[i] -> heads[i]`` between nodes, of which 0 is the source and 1 the sink; no edge twice."""

    nodes: int
    tails: Ints
    heads: Ints


def source_side(network: Network, capacities: Floats, bound: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which nodes lie on the source's side of a minimum cut, the smallest such set.

    ``capacities`` go with the edges, infinity where an edge must not be cut; ``bound`` bounds the cost from above.
    Rounding to integers costs at most one part in 2**26 per edge of the least cut: when that turns out much cheaper
    than ``bound``, it is solved again at its own scale.
    """
    for _ in range(ROUNDS):
        side = _solve(network, _integer_capacities(capacities, bound))
        cost = float(capacities[side[network.tails] & ~side[network.heads]].sum())
        if cost == 0 or cost > bound / 4:
            return side
        bound = cost
    return side


def _integer_capacities(capacities: Floats, bound: float) -> Ints:
    if bound <= 0:
        return (capacities > 0).astype(np.int32) * np.int32(FOREVER)
    scaled: Floats = np.rint(np.minimum(capacities / bound, 2.0) * SCALE)
    return np.minimum(scaled, FOREVER).astype(np.int32)


def _solve(network: Network, capacities: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
    try:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import breadth_first_order, maximum_flow
    except ImportError as missing:
        raise InputError("the minimum cut needs scipy: pip install 'partway[partition]'") from missing
    shape = (network.nodes, network.nodes)
    graph = csr_array((capacities, (network.tails, network.heads)), shape=shape)
    residual = graph - maximum_flow(graph, SOURCE, SINK, method="dinic").flow
    residual.eliminate_zeros()
    side = np.zeros(network.nodes, dtype=np.bool_)
    side[breadth_first_order(residual, SOURCE, return_predecessors=False)] = True
    return side
