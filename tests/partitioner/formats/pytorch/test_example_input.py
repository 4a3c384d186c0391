"""What a module is traced with."""

from __future__ import annotations

import pytest
from tests.support.torch_project import MODULE, image

import partway
from partway.errors import InputError
from partway.partitioner.formats.pytorch.trace import trace
from partway.partitioner.resolve import export

pytest.importorskip("torch")
pytest.importorskip("onnxscript")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["1x0x3"], "neither a shape"),
        (["huge"], "neither a shape"),
        (["1x8:complex64"], "neither a shape"),
        (["none.npy"], "cannot be read"),
        (["none.npz"], "cannot be read"),
        ([], "needs --example-input"),
    ],
)
def test_an_example_that_is_none_is_refused(here, tmp_path, given, says):
    """A sentence that shows what would be one."""
    with pytest.raises(InputError, match=says):
        export(f"{MODULE}:Net", tmp_path / "x.onnx", given)


def test_names_that_forward_does_not_have_are_refused(tmp_path, nets):
    """A mapping must name forward's arguments, the first ones without a gap."""
    with pytest.raises(InputError, match="no argument 'picture'; it takes image, scale"):
        trace(nets.Two(), {"picture": image(1), "scale": image(1)})
    with pytest.raises(InputError, match="lacks 'image'"):
        trace(nets.Two(), {"scale": image(1)})
    with pytest.raises(InputError, match="not of a int"):
        partway.plan(3, image(1), out=tmp_path)
    with pytest.raises(InputError, match="give example_inputs"):
        partway.plan(nets.Net(), out=tmp_path)
