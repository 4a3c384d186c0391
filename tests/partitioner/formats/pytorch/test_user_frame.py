"""Errors name the line of the model's own code."""

from __future__ import annotations

import json
import linecache
from types import SimpleNamespace

import pytest
from tests.support.torch_project import MODULE

from partway.errors import InputError
from partway.partitioner.formats.pytorch.user_frame import (
    MOST_CHARACTERS,
    first_line,
    operator_of,
    place,
    place_of_node,
)
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


def raised(work) -> Exception:
    """What some work raises."""
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def test_the_place_is_in_the_models_own_code():
    """File, line and the code there, also when a library raised or wrapped the error."""
    error = raised(lambda: json.loads("{"))  # own line
    number = error.__traceback__.tb_next.tb_lineno if error.__traceback__.tb_next else 0
    found = place(error)
    assert f"test_user_frame.py, line {number} (" in found
    assert "own line" in found
    try:
        try:
            json.loads("{")
        except ValueError as inner:
            raise RuntimeError("outer") from inner
    except RuntimeError as outer:
        assert "json.loads" in place(outer)


def test_an_error_of_no_model_has_no_place():
    """One that was never raised."""
    assert place(ValueError("x")) == ""
    assert operator_of(ValueError("x")) == ""


def test_the_first_line_is_what_an_exception_says():
    """Without the advice below it, without its full stop, of bounded length; an empty one by its type."""
    assert first_line(ValueError("\n  wrong size.\n\nset TORCH_LOGS for more")) == "wrong size"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 1000))) == MOST_CHARACTERS


def test_the_place_of_an_operator_is_where_it_was_traced():
    """Of a stack that ends inside a library the model's own frame counts."""
    stack = f'  File "{__file__}", line 3, in forward\n  File "/x/site-packages/torch/nn.py", line 9, in call\n'
    assert "test_user_frame.py, line 3" in place_of_node(SimpleNamespace(meta={"stack_trace": stack}))
    assert place_of_node(SimpleNamespace(meta={})) == ""
