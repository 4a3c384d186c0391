"""Operators that an engine runs as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.machines import graphs_of

from partway.errors import InputError
from partway.partitioner.profile.file import OperatorSeconds
from partway.partitioner.profile.fused_groups import kind_of, measured_groups


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
