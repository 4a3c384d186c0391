"""What an entry of the operator table is told of its operator, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from partway.engines.interface import Unsupported
from partway.engines.onnx_file.model import AttributeReference, OnnxOperator
from partway.engines.onnx_file.values import BFLOAT16, Constant

torch = pytest.importorskip("torch")

from partway.engines.torch.builder import build  # noqa: E402
from partway.engines.torch.operator_table import TABLE, OperatorContext, ShapeCache, number, numbers, to_tensor  # noqa: E402


def context(outputs: tuple[str, ...] = ("y",), **attributes: Any) -> OperatorContext:
    """What a factory gets for one operator."""
    return OperatorContext(
        OnnxOperator("it", "Thing", "", ("x",), outputs, attributes), 18, torch.float16, ShapeCache()
    )


def test_every_kind_of_operator_is_in_the_table() -> None:
    """Building a model fills it from all modules of operators."""
    assert build
    modules = {entry.factory.__module__.rpartition(".")[2] for entry in TABLE.values()}
    assert modules - {"operator_table"} == {
        *("convolution", "detection", "elementwise", "indexing", "normalization", "quantization", "reduction"),
        *("resize", "shape"),
    }


def test_attributes_are_read_once_and_remembered() -> None:
    """Whatever no factory reads is an attribute that nobody knows."""
    given = context(axis=2, names=(1, 2), to=1, kind=7)
    assert (given.integer("axis"), given.integer("absent", 5)) == (2, 5)
    assert (given.many("names"), given.many("none")) == ([1, 2], None)
    assert given.dtype("to") is torch.float16  # float32 as what the engine computes in
    assert given.dtype("kind") is torch.int64
    assert given.read == {"axis", "absent", "names", "none", "to", "kind"}


@pytest.mark.parametrize(("name", "words"), [("axis", "no attribute axis"), ("ref", "attribute ref without a value")])
def test_an_attribute_without_a_value_is_unsupported(name: str, words: str) -> None:
    """The operator, the node and the engine that can are named."""
    with pytest.raises(Unsupported, match=rf"cannot run Thing \(it\) with .*{words}; use --engine onnx"):
        context(ref=AttributeReference("outer")).integer(name)


def test_outputs_are_counted_to_the_last_one_wanted() -> None:
    """Those left out at the end do not count."""
    assert context(("a", "", "c", "")).output_count == 3
    context(("a", "")).only(1)
    with pytest.raises(Unsupported, match="output 2"):
        context(("a", "b")).only(1)


def test_constants_become_tensors_without_a_copy() -> None:
    """Foreign byte order is converted, bfloat16 keeps its bits."""
    array = np.arange(4, dtype=np.float32)
    assert np.shares_memory(to_tensor(Constant(array, 1)).numpy(), array)
    assert to_tensor(Constant(array.astype(">f4"), 1)).tolist() == [0, 1, 2, 3]
    bits = np.array([0x3F80, 0xC000], np.uint16)
    assert to_tensor(Constant(bits, BFLOAT16)).tolist() == [1.0, -2.0]


def test_host_values_are_numbers() -> None:
    """Literals and tensors alike; a single one alone."""
    assert numbers(torch.tensor([[1, 2]])) == numbers((1, 2)) == [1, 2]
    assert numbers(3) == [3] and number(torch.tensor([4])) == 4
    with pytest.raises(ValueError, match="unpack"):
        number((1, 2))


def test_small_tensors_are_made_once_per_key() -> None:
    """A table that is full begins anew, and the old one stays with who holds it."""
    cache = ShapeCache()
    first = cache.get("a", lambda: torch.zeros(1))
    assert cache.get("a", lambda: torch.ones(1)) is first
    old = cache.tensors
    for key in range(600):
        cache.get(key, lambda: torch.zeros(1))
    assert cache.tensors is not old and old["a"] is first
