"""What a classifier answers before its softmax."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.support.architectures import Net

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.calibrate.logits import before_softmax
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan import Plan
from partway.partitioner.slicing import make_plan

Classifier = Callable[[str], tuple[Path, Plan]]


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    """A plan of two stages whose model ends in the operators of a given kind."""

    def make(ending: str) -> tuple[Path, Plan]:
        net = Net()
        x = net.op("Relu", net.op("MatMul", "x", net.weight(8, 6)), out="middle")
        if ending == "logits":
            net.op("MatMul", x, net.weight(6, 5), out="y")
        elif ending == "softmax":
            net.op("Softmax", net.op("MatMul", x, net.weight(6, 5), out="scores"), out="y", axis=1)
        elif ending == "two":
            scores = net.op("MatMul", x, net.weight(6, 5), out="scores")
            net.op("Softmax", scores, out="y", axis=1)
            net.op("Tanh", scores, out="z")
        elif ending == "inner":
            inner = net.op("Softmax", net.op("MatMul", x, net.weight(6, 9), out="wide"), axis=1)
            net.op("MatMul", inner, net.weight(9, 5), out="y")
        outputs = [("y", ["N", 5]), *([("z", ["N", 5])] if ending == "two" else [])]
        path = tmp_path / "model.onnx"
        onnx.save(net.model([("x", ["N", 8])], outputs), path)
        return tmp_path, make_plan(path, tmp_path, ["middle"])

    return make


def test_the_scores_are_those_that_the_softmax_reads(classifier: Classifier) -> None:
    """Passed through the softmax they are the model's answer; they are no probabilities themselves."""
    folder, plan = classifier("softmax")
    engine = engine_for("onnx", 1)
    last = before_softmax(folder, plan, engine)
    assert last is not None
    chain = load_folder(folder, plan, engine)
    values = {"x": np.random.default_rng(0).standard_normal((1, 8)).astype(np.float32)}
    scores = last(chain.run(values, 0, 1))
    assert (scores.shape, scores.dtype) == ((5,), np.float64)
    likely = np.exp(scores - scores.max())
    np.testing.assert_allclose(likely / likely.sum(), chain.run(values, 0, 2)["y"][0], rtol=1e-5)
    assert abs(scores.sum() - 1) > 1e-3


@pytest.mark.parametrize("ending", ["logits", "two", "inner"])
def test_a_model_without_a_last_softmax_has_no_such_scores(classifier: Classifier, ending: str) -> None:
    """None where it answers logits, where it has several outputs, and where the softmax is within the model."""
    folder, plan = classifier(ending)
    assert before_softmax(folder, plan, engine_for("onnx", 1)) is None


def test_stages_of_other_kinds_have_none(fake_plan: Path) -> None:
    """Only files that can be cut are looked into."""
    from partway.partitioner.plan.plan_file import load_plan

    assert before_softmax(fake_plan, load_plan(fake_plan), engine_for("fake")) is None


def test_a_stage_that_was_changed_is_refused(classifier: Classifier) -> None:
    """Its digest is checked before it is read."""
    folder, plan = classifier("softmax")
    (folder / plan.stages[-1].file).write_bytes(b"other")
    with pytest.raises(InputError, match="digest differs"):
        before_softmax(folder, plan, engine_for("onnx", 1))
