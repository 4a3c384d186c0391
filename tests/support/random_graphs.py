"""Random small graphs, and every downward-closed operator set of a graph with its cost, by plain enumeration."""

import random

import numpy as np
from hypothesis import strategies as st

from partway.partitioner.cuts.mincut import Problem
from partway.partitioner.graph.graph import Graph, Operator
from partway.proto.tensors import TensorSpec


def random_graph(operators: int, seed: int) -> Graph:
    """A graph of so many operators, with one or two inputs, fan-out, skips, several outputs and values of any size."""
    rng = random.Random(seed)
    inputs = tuple(f"in{at}" for at in range(rng.choice((1, 1, 2))))
    values, made = list(inputs), []
    for at in range(operators):
        near = values[-3:] if rng.random() < 0.7 else values
        read = tuple(dict.fromkeys(rng.choice(near) for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))))
        outputs = (f"v{at}",) if rng.random() < 0.85 else (f"v{at}", f"w{at}")
        made.append(Operator(f"op{at}", "Any", read, outputs, work=rng.randrange(1000)))
        values.extend(outputs)
    read_somewhere = {name for operator in made for name in operator.inputs}
    outputs = tuple(name for name in values[len(inputs) :] if name not in read_somewhere or rng.random() < 0.05)
    specs = {
        name: TensorSpec(name, "uint8", (rng.choice((0, 1, 2, 5, 20, 100)) * rng.randrange(1, 9),)) for name in values
    }
    return Graph(tuple(made), specs, {}, inputs, outputs)


graphs = st.builds(random_graph, st.integers(1, 14), st.integers(0, 2**32))


def random_times(graph: Graph, seed: int, faster_cloud: bool) -> tuple[list[float], list[float]]:
    """Seconds of each operator on the device and in the cloud; with ``faster_cloud`` never slower there."""
    rng = random.Random(seed)
    cloud = [rng.choice((0.0, 0.001, rng.random())) for _ in graph.operators]
    device = [time + rng.choice((0.0, 0.01, rng.random())) if faster_cloud else rng.random() for time in cloud]
    return device, cloud


def every_prefix(graph: Graph) -> np.ndarray:
    """All downward-closed operator sets, as bit masks."""
    masks = np.arange(1 << len(graph.operators))
    legal = np.ones(len(masks), bool)
    for at, operator in enumerate(graph.operators):
        for name in operator.inputs:
            if name in graph.producers:
                legal &= (masks >> at & 1) <= (masks >> graph.producers[name] & 1)
    return masks[legal]


def is_prefix(graph: Graph, mask: int) -> bool:
    """Whether an operator set is downward closed: with every operator, everything that must run before it."""
    return all(graph.ancestors[at] & ~mask == 0 for at in range(len(graph.operators)) if mask >> at & 1)


def total_s(problem: Problem, prefix: int, bandwidth_bps: float) -> float:
    """Seconds of prefix, transfer and suffix together."""
    return sum(problem.cloud_s) + problem.own_s(prefix) + problem.crossing_bits(prefix) / bandwidth_bps


def costs(problem: Problem, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each prefix, device-minus-cloud seconds, and bits that cross (endless where a kept value does)."""
    graph = problem.graph
    own_s = np.zeros(len(masks))
    for at, (device_s, cloud_s) in enumerate(zip(problem.device_s, problem.cloud_s, strict=True)):
        own_s += (masks >> at & 1) * (device_s - cloud_s)
    bits = np.zeros(len(masks))
    for name, size in zip(graph.activations, problem.bits, strict=True):
        readers = graph.readers.get(name, 0)
        there = masks >> graph.producers[name] & 1 if name in graph.producers else np.ones(len(masks), int)
        crosses = (there == 1) & ((masks & readers) != readers)
        bits[crosses] += np.inf if name in problem.staying else size
    return own_s, bits
