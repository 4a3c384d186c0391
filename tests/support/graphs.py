"""Small graphs built by hand: rows of operators of given kinds and sizes."""

from __future__ import annotations

from itertools import pairwise

from partway.partitioner.graph.graph import Graph, Operator
from partway.proto.tensors import TensorSpec


def line(*steps: tuple[str, str, int], weights: tuple[str, ...] = ()) -> Graph:
    """Operators in a row: (kind, value made, its bytes); the first entry is the input."""
    names = [name for _, name, _ in steps]
    operators = tuple(
        Operator(f"op_{made}", kind, (read,), (made,), ("w",) if made in weights else (), 1000)
        for read, (kind, made, _) in zip(names, steps[1:], strict=False)
    )
    specs = {name: TensorSpec(name, "uint8", (size,)) for _, name, size in steps}
    return Graph(operators, specs, {"w": 100}, (names[0],), (names[-1],))


def chain(sizes: list[int]) -> Graph:
    """Operators one after another; ``sizes`` are the bytes of the input and of each operator's output."""
    names = [f"v{at}" for at in range(len(sizes))]
    operators = tuple(Operator(f"op{at}", "Any", (read,), (made,)) for at, (read, made) in enumerate(pairwise(names)))
    specs = {name: TensorSpec(name, "uint8", (size,)) for name, size in zip(names, sizes, strict=True)}
    return Graph(operators, specs, {}, (names[0],), (names[-1],))
