"""Errors name the line of the model's own code."""

from __future__ import annotations

import linecache

import pytest
from tests.support.torch_project import MODULE

from partway.errors import InputError
from partway.partitioner.resolve import export

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


@pytest.mark.parametrize(
    ("name", "says", "blamed"),
    [
        ("ByData", "decides by the data.*torch.where", "blame by data"),
        ("NoCounterpart", "bessel_j0.*no ONNX counterpart", "blame operation"),
        ("Numpy", r"cannot be exported.*numpy\(\)", "blame numpy"),
        ("WrongShape", r"does not take the example input float32 \[1, 8\].*1x8 and 9x8", "blame shape"),
        ("NoTensor", "returns 3, which is no tensor", ""),
        ("Random", "does not answer like the module.*random", ""),
        ("Raises", "without arguments.*no such size", "no such size"),
        ("needs_an_argument", "without arguments", ""),
        ("number", "gives a int, not a torch.nn.Module", ""),
        ("Missing", "has no 'Missing'", ""),
    ],
)
def test_what_cannot_be_exported_is_told_with_its_line(here, tmp_path, name, says, blamed):
    """One sentence: what is wrong, and the file and line of the model's own code."""
    with pytest.raises(InputError, match=says) as refused:
        export(f"{MODULE}:{name}", tmp_path / "x.onnx", ["1x8"])
    assert "\n" not in str(refused.value)
    if blamed:
        lines = (here / f"{MODULE}.py").read_text().splitlines()
        number = next(at for at, line in enumerate(lines, 1) if blamed in line)
        assert f"{MODULE}.py, line {number} (" in str(refused.value)
    linecache.checkcache()
