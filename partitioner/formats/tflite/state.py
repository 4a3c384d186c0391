"""State in a TFLite model, which operators share besides tensors: no cut may separate them.

A variable tensor keeps its numbers from one run to the next; resource variables and hash tables are known by a name
that a handle operator gives them, in the main graph or in one that ``CALL_ONCE`` runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from partway.partitioner.formats.tflite.file import operator_kind, options_of, text
from partway.partitioner.formats.tflite.validate import called

RANDOM = frozenset({"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "STABLEHLO_RNG_BIT_GENERATOR"})


def state_users(model: Any, names: Sequence[str]) -> dict[str, list[int]]:
    """The operators of the main graph that use each state, in order, by what to call it; only states that several use.

    ``names`` are the tensors' names.
    """
    users: dict[str, dict[int, None]] = {}
    graph = model.subgraphs[0]
    for index, operator in enumerate(graph.operators):
        for tensor in operator.inputs if operator.inputs is not None else ():
            if tensor >= 0 and graph.tensors[tensor].isVariable:
                users.setdefault(f"the state `{names[tensor]}`", {})[index] = None
        for key in handles(model, operator):
            users.setdefault(key, {})[index] = None
    return {key: list(found) for key, found in users.items() if len(found) > 1}


def handles(model: Any, operator: Any) -> Iterator[str]:
    """The resource variables and hash tables that an operator names, itself or in the subgraphs it runs."""
    seen: set[int] = set()
    waiting = [operator]
    while waiting:
        one = waiting.pop()
        for options in options_of(one):
            if operator_kind(model, one) == "VAR_HANDLE":
                yield f"the variable `{text(options.sharedName)}`"
            if operator_kind(model, one) == "HASHTABLE":
                yield f"the table {options.tableId}"
        for target in called(one):
            if target not in seen:
                seen.add(target)
                waiting.extend(model.subgraphs[target].operators or ())
