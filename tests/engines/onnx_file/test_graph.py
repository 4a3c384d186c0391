"""An ONNX file's operators, read without the onnx package."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx")

from tests.support.architectures import ARCHITECTURES  # noqa: E402

from partway.engines.onnx_file.graph import numbered, read_graph  # noqa: E402
from partway.errors import InputError  # noqa: E402


def test_numbers_replace_names_and_nothing_else() -> None:
    """The file with its operators numbered is the same model to the onnx package."""
    model = ARCHITECTURES["conditional"]().model
    made = onnx.ModelProto.FromString(numbered(model.SerializeToString()))
    assert [node.name for node in made.graph.node] == [f"@{at}@" for at in range(len(model.graph.node))]
    for node, own in zip(made.graph.node, model.graph.node, strict=True):
        node.name = own.name
    assert made == model


def test_a_body_reads_what_it_captures() -> None:
    """The If reads the values that its branches take from outside, and not those of their own."""
    graph = read_graph(ARCHITECTURES["conditional"]().model.SerializeToString())
    branch = next(node for node in graph.nodes if node.kind == "If")
    assert set(branch.inputs) == {"greater8_0", "relu6_0", "maxpool2_0", "w7"}


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\x3a\x05abc", b"not a model at all", b"\x3a\x04\x0a\x05ab"])
def test_bytes_that_are_no_model_have_no_graph(data: bytes) -> None:
    """One sentence, whatever they are."""
    with pytest.raises(InputError, match="the stage is no ONNX model") as caught:
        read_graph(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x3a\x05abc", b"\x3a\x04\x0a\x05ab"])
def test_bytes_that_are_no_model_are_not_numbered(data: bytes) -> None:
    """A file cut short is refused before anything is written."""
    with pytest.raises(InputError, match="the stage is no ONNX model"):
        numbered(data)
