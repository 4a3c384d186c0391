"""Topological orders of a graph that keep few bytes alive: the cuts of a chain are the frontiers along one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from partway.partitioner.graph.graph import Graph, OperatorSet, members

Order = tuple[int, ...]


def orders(graph: Graph, through: Sequence[OperatorSet] = ()) -> Iterator[Order]:
    """The model's own order, one that finishes a branch before it begins the next, and a greedy one.

    Each of them completes the nested prefixes ``through``, smallest first, before it goes on.
    """
    level = [sum(not prefix >> index & 1 for prefix in through) for index in range(len(graph.operators))]
    for order in (range(len(graph.operators)), depth_first(graph), smallest_frontier(graph)):
        yield tuple(sorted(order, key=level.__getitem__))


def frontiers(graph: Graph, order: Order) -> Iterator[tuple[OperatorSet, tuple[str, ...]]]:
    """After each operator of an order, the operators so far and the values that cross, in wire order."""
    unread = {name: mask.bit_count() for name, mask in graph.readers.items()}
    place = {name: at for at, name in enumerate(graph.activations)}
    alive = {name for name in graph.inputs if name in unread}
    reached = 0
    for index in order:
        reached |= 1 << index
        for name in graph.operators[index].inputs:
            unread[name] -= 1
            if not unread[name]:
                alive.discard(name)
        alive.update(name for name in graph.operators[index].outputs if name in unread)
        yield reached, tuple(sorted(alive, key=place.__getitem__))


def depth_first(graph: Graph) -> Order:
    """Each model output's operators in turn, every branch finished before the next begins."""
    done: dict[int, None] = {}
    last = [graph.producers[name] for name in graph.outputs if name in graph.producers]
    stack = list(reversed(last))
    while stack:
        index = stack[-1]
        before = [graph.producers[name] for name in graph.operators[index].inputs if name in graph.producers]
        waiting = [producer for producer in before if producer not in done]
        if waiting:
            stack.extend(reversed(waiting))
        else:
            done.setdefault(stack.pop())
    done.update(dict.fromkeys(range(len(graph.operators))) if len(done) < len(graph.operators) else {})
    return tuple(done)


def smallest_frontier(graph: Graph) -> Order:
    """Always the operator that leaves the fewest bytes alive, and of equals the one that became ready last."""
    unread = dict.fromkeys(graph.activations, 0) | {name: mask.bit_count() for name, mask in graph.readers.items()}
    wait = [sum(name in graph.producers for name in operator.inputs) for operator in graph.operators]
    ready = [index for index, count in enumerate(wait) if count == 0]
    order: list[int] = []
    while ready:
        at = min(range(len(ready)), key=lambda position: (_growth(graph, unread, ready[position]), -position))
        index = ready.pop(at)
        order.append(index)
        for name in graph.operators[index].inputs:
            unread[name] -= 1
        for name in graph.operators[index].outputs:
            for reader in members(graph.readers.get(name, 0)):
                wait[reader] -= 1
                if wait[reader] == 0:
                    ready.append(reader)
    return tuple(order)


def _growth(graph: Graph, unread: dict[str, int], index: int) -> int:
    operator = graph.operators[index]
    born = sum(graph.size_bytes(name) for name in operator.outputs if unread[name])
    return born - sum(graph.size_bytes(name) for name in operator.inputs if unread[name] == 1)
