"""Models by name, exported: their stages answer like the modules."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from partway.engines.registry import engine_for
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.parity import relative_error, run_split
from partway.partitioner.slicing import make_plan
from partway.partitioner.zoo.cuts import cuts_of
from partway.partitioner.zoo.export import export_model
from partway.partitioner.zoo.networks import network

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
if find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)


SIDE = 64


@pytest.fixture(scope="module", params=["resnet18", "squeezenet1_1", "unet"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A model by name with random weights, as a file, for small pictures."""
    path = tmp_path_factory.mktemp("zoo") / f"{request.param}.onnx"
    export_model(request.param, path, True, SIDE)
    return request.param, path


def test_stages_answer_like_the_module_at_every_cut(exported, tmp_path):
    """ONNX Runtime's stages against torch itself, for one picture and for three; a wrong suffix is seen."""
    name, path = exported
    module = network(name, True)
    cuts = cuts_of(open_onnx(path).graph)
    assert len(cuts) >= 3
    plan = make_plan(path, tmp_path, [str(cut) for cut in cuts])
    chain = load_folder(tmp_path, plan, engine_for("onnx"))
    for batch in (1, 3):
        values = np.random.default_rng(batch).random((batch, 3, SIDE, SIDE), dtype=np.float32)
        with torch.no_grad():
            wanted = module(torch.from_numpy(values)).numpy()
        for k in plan.splits:
            answer = run_split(chain, {"image": values}, k)[plan.outputs[0]]
            assert relative_error(wanted, answer) < 1e-4
            assert (answer.argmax(1) == wanted.argmax(1)).all()
            assert relative_error(wanted, answer * 1.01) > 1e-4
