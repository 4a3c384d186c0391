"""Operators that an engine runs as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.graphs import line
from tests.support.machines import graphs_of

from partway.errors import InputError
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.profile.file import OperatorSeconds
from partway.partitioner.profile.fused_groups import (
    Habits,
    MeasuredModel,
    Pair,
    group_of,
    kind_of,
    measured_groups,
    predicted_groups,
)
from partway.proto.tensors import TensorSpec


def test_convolutions_are_told_apart(folders: dict[str, Path]) -> None:
    """Depthwise ones run at another speed than dense ones."""
    kinds = {kind_of(graph, op) for graph in graphs_of(folders["mobile"]) for op in graph.operators}
    assert {"Conv", "Conv grouped", "Relu", "Gemm"} <= kinds


def test_a_profile_of_other_operators_is_refused(folders: dict[str, Path]) -> None:
    """Names that the stages do not have are no measurement of them; what the engine inserted is not counted."""
    graphs = graphs_of(folders["wide"])
    inserted = OperatorSeconds(None, "ReorderInput", 0, 1.0)
    known = OperatorSeconds(graphs[0].operators[0].name, "Conv", 0, 0.1)
    assert measured_groups("wide", graphs, [2.0] * len(graphs), [known, inserted]).rest_s[0] == pytest.approx(1.9)
    with pytest.raises(InputError, match="names operators that its stages do not have"):
        measured_groups("wide", graphs, [1.0] * len(graphs), [known, OperatorSeconds("foreign", "Conv", 0, 0.9)])


def line_of(*kinds: str) -> Graph:
    """Operators of these kinds in a row, each named after its place."""
    steps = (("", "v", 8), *((kind, f"v{at}", 8) for at, kind in enumerate(kinds)))
    return line(*steps)


def names(groups: list[Any]) -> list[tuple[str, float]]:
    """Leaders with the work of their groups."""
    return [(group.name, group.work) for group in groups]


HABITS = Habits(frozenset({Pair("Conv", "BatchNormalization"), Pair("BatchNormalization", "Relu")}), {})


def test_neighbours_that_run_as_one_make_one_group() -> None:
    """Along a row of pairs, and no further; each operator is in one group."""
    found = predicted_groups(line_of("Conv", "BatchNormalization", "Relu", "MaxPool", "Relu"), 2, HABITS)
    assert names(found) == [("op_v0", 3000.0), ("op_v3", 1000.0), ("op_v4", 1000.0)]
    assert {group.stage for group in found} == {2}


def test_a_value_that_others_read_too_ends_a_group() -> None:
    """It has to be written out, so nothing is saved."""
    row = line_of("Conv", "BatchNormalization", "Relu")
    read_twice = Graph(row.operators, row.values, row.constants, row.inputs, ("v0", "v2"))
    assert names(predicted_groups(read_twice, 0, HABITS)) == [("op_v0", 1000.0), ("op_v1", 2000.0)]


def test_a_group_is_of_the_kind_that_was_seen_to_lead_it() -> None:
    """Where nothing was seen, of the operator with the most work."""
    row = line_of("Conv", "BatchNormalization")
    led = Habits(HABITS.fused, {"BatchNormalization Conv": "BatchNormalization"})
    assert [group.kind for group in predicted_groups(row, 0, HABITS)] == ["Conv"]
    assert [group.kind for group in predicted_groups(row, 0, led)] == ["BatchNormalization"]


def test_a_group_counts_what_goes_in_and_out_of_it() -> None:
    """Values that only pass between its operators are not read from memory."""
    row = line(("", "x", 100), ("Conv", "a", 50), ("Relu", "b", 40), ("Conv", "c", 30), weights=("a",))
    found = group_of(row, [0, 1], row.operators[0], 0)
    assert (found.input_bytes, found.output_bytes, found.weight_bytes, found.work) == (100.0, 40.0, 100.0, 2000.0)


def test_what_was_fused_more_often_than_not_is_a_habit() -> None:
    """Pairs seen as one and apart are counted over all models."""
    pair, other = Pair("Conv", "Relu"), Pair("Conv", "Add")
    first = MeasuredModel("a", (), (), 1.0, {pair: 3, other: 1}, {pair: 1}, (("Conv Relu", "Conv"),))
    second = MeasuredModel(
        "b", (), (), 1.0, {pair: 1}, {pair: 2, other: 1}, (("Conv Relu", "Relu"), ("Conv Relu", "Conv"))
    )
    habits = Habits.of([first, second])
    assert habits.fused == {pair}
    assert habits.leaders == {"Conv Relu": "Conv"}


def test_a_profile_is_joined_with_its_graph() -> None:
    """Fused operators go with their leader, pairs are counted, and the rest of the stage is what is not theirs."""
    row = line_of("Conv", "Relu", "Conv", "Relu")
    found = measured_groups(
        "m",
        [row],
        [1.0],
        [
            OperatorSeconds("op_v0", "Conv", 0, 0.4, 1, ("op_v0", "op_v1")),
            OperatorSeconds("op_v2", "Conv", 0, 0.3, 1),
            OperatorSeconds("op_v3", "Relu", 0, 0.1, 1),
        ],
    )
    assert [(group.name, seconds) for group, seconds in found.groups] == [
        ("op_v0", 0.4),
        ("op_v2", 0.3),
        ("op_v3", 0.1),
    ]
    assert found.rest_s == (pytest.approx(0.2),)
    assert found.total_s == 1.0
    assert found.together == {Pair("Conv", "Relu"): 1}
    assert found.apart == {Pair("Relu", "Conv"): 1, Pair("Conv", "Relu"): 1}
    assert found.leaders == (("Conv Relu", "Conv"),)


@pytest.mark.parametrize(
    ("work", "kind"),
    [(8 * 8 * 4 * 27, "Conv"), (8 * 8 * 4 * 3, "Conv 1x1"), (8 * 8 * 4 * 1, "Conv grouped"), (0, "Conv")],
)
def test_a_convolution_is_of_a_kind_by_what_an_output_element_takes(work: int, kind: str) -> None:
    """All channels of a window, each channel once, or fewer than there are; unknown work is a plain one."""
    specs = {"x": TensorSpec("x", "float32", (None, 3, 8, 8)), "y": TensorSpec("y", "float32", (None, 4, 8, 8))}
    graph = Graph((Operator("c", "Conv", ("x",), ("y",), (), work),), specs, {}, ("x",), ("y",))
    assert kind_of(graph, graph.operators[0]) == kind
