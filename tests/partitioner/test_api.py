"""``partway.plan`` from a program."""

from __future__ import annotations

import pytest
from tests.support.torch_project import SIDE, image

import partway
from partway.engines.registry import engine_for
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.parity import relative_error, run_split
from partway.partitioner.plan.plan_file import load_plan

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_a_plan_made_in_a_program_answers_like_the_module(tmp_path, nets):
    """At every split, for one frame and for three; the module is left in the mode it was in."""
    module = nets.Net().train()
    plan = partway.plan(module, torch.zeros(1, 3, SIDE, SIDE), out=tmp_path, labels=list("abcde"))
    assert module.training and module.layers[0].bn.training
    assert plan == load_plan(tmp_path)
    assert plan.model == "Net" and plan.batches and plan.output["labels"] == list("abcde")
    assert [str(cut) for cut in plan.cuts[1:-1]]
    chain = load_folder(tmp_path, plan, engine_for("onnx"))
    for batch in (1, 3):
        with torch.no_grad():
            wanted = module.eval()(torch.from_numpy(image(batch, batch))).numpy()
        for k in plan.splits:
            answer = run_split(chain, {"image": image(batch, batch)}, k)["head"]
            assert relative_error(wanted, answer) < 1e-4
            assert relative_error(wanted, answer + 1) > 1e-4
