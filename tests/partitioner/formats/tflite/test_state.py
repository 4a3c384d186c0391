"""State in a TFLite model: no cut comes between those that share it."""

import pytest

pytest.importorskip("ai_edge_litert")
from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.slicing import choose_cuts


@pytest.mark.parametrize(
    ("name", "legal", "illegal", "state"),
    [
        ("shared_state", {("a",), ("d",)}, ["b", "c"], "the state `state`"),
        ("recurrent", {("a",), ("b",)}, [], ""),
    ],
)
def test_no_cut_goes_through_state(graph_of, name, legal, illegal, state):
    """All that shares a variable stays together; who asks for such a cut learns why not."""
    graph = graph_of(name)
    assert {frontier.cut.values for frontier in legal_cuts(graph)} == legal
    for value in illegal:
        with pytest.raises(InputError, match=f"{state} would have to cross and cannot be sent"):
            choose_cuts(graph, [value])
