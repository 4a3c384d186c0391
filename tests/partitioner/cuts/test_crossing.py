"""What a cut means in a graph, and how people name one."""

import pytest
from hypothesis import given, settings
from tests.support.random_graphs import every_prefix, graphs

from partway.errors import InputError
from partway.partitioner.cuts.crossing import (
    crossing,
    cut_from_names,
    input_cut,
    output_cut,
    prefix_of,
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(graphs)
def test_a_cut_means_the_smallest_prefix_with_that_crossing(graph):
    """Of all operator sets with the same crossing, as enumerated, the one its names stand for is the smallest."""
    for mask in map(int, every_prefix(graph)[:200]):
        cut = crossing(graph, mask)
        if cut.values:
            assert prefix_of(graph, cut) & ~mask == 0


def test_input_and_output_are_cuts_like_any_other(read):
    """The two ends of the chain."""
    graph = read("two_inputs")
    assert input_cut(graph).values == ("left", "right", "scale")
    assert output_cut(graph).values == ("y",)


def test_a_name_that_does_not_exist_gets_suggestions(read):
    """The nearest names, by spelling."""
    with pytest.raises(InputError, match=r"no value `block.1/relu`.*`/block.1/relu:0`"):
        cut_from_names(read("residual"), ["block.1/relu"])


def test_a_cut_that_does_not_separate_says_what_else_must_cross(read):
    """A skip connection over the cut is named."""
    with pytest.raises(InputError, match=r"`maxpool2_0` must cross too"):
        cut_from_names(read("residual"), ["relu4_0"])


def test_operators_and_constants_are_told_apart_from_values(read):
    """Naming either says what it is."""
    graph = read("chain")
    with pytest.raises(InputError, match="`n0` is an operator; name the value it makes: conv0_0"):
        cut_from_names(graph, ["n0"])
    with pytest.raises(InputError, match="constants never cross"):
        cut_from_names(graph, ["w0"])
    with pytest.raises(InputError, match="nothing of the model comes after logits"):
        cut_from_names(graph, ["logits"])


def test_a_named_cut_is_put_in_wire_order_without_what_nothing_reads(read):
    """Names come in any order; one that is used up before the cut is left out."""
    graph = read("two_inputs")
    assert cut_from_names(graph, ["concat14_0", "scale"]).values == ("scale", "concat14_0")
    assert cut_from_names(graph, ["left", "concat14_0", "scale"]).values == ("scale", "concat14_0")
