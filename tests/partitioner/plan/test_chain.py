"""Parity of the shipped model's chain at every split, and that a wrong suffix is caught."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.compose import merge_models

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.plan.chain import Chain, load_chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.profile.measure import sample_values
from partway.partitioner.zoo import model_folder
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
MNIST = model_folder("mnist")
RELATIVE = 1e-5


def whole_model(plan: Plan) -> bytes:
    """The chain's stages glued back into one ONNX model."""
    first, *rest = [onnx.load_from_string(read_stage(MNIST, stage)) for stage in plan.stages]
    for index, stage in enumerate(rest):
        names = [value.name for value in stage.graph.input]
        prefixed = onnx.compose.add_prefix(stage, f"s{index + 1}_", rename_inputs=False, rename_outputs=False)
        first = merge_models(first, prefixed, io_map=[(name, name) for name in names])
    return bytes(first.SerializeToString())


def differs(answer: Array, right: Array) -> bool:
    """The parity check: more than 1e-5 of the largest value apart."""
    return bool(np.abs(answer - right).max() > RELATIVE * np.abs(right).max())


@pytest.fixture(scope="module")
def chain() -> Chain:
    """The shipped model on ONNX Runtime."""
    plan = load_plan(MNIST)
    return load_chain(plan, engine_for(plan.engine, 1), lambda stage: read_stage(MNIST, stage))


@pytest.fixture(scope="module")
def pictures(chain: Chain) -> Array:
    """Eight input tensors of random pixels."""
    preprocess = Preprocess.from_json(chain.plan.input)
    assert preprocess is not None
    rng = np.random.default_rng(0)
    return np.concatenate([preprocess.tensor(rng.integers(0, 256, (28, 28, 1), dtype=np.uint8)) for _ in range(8)])


@pytest.fixture(scope="module")
def right(chain: Chain, pictures: Array) -> Array:
    """What one session over the whole model answers."""
    session = ort.InferenceSession(whole_model(chain.plan), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": pictures})[0])


@pytest.mark.parametrize("k", range(4))
def test_every_split_answers_as_the_whole_model_does(chain: Chain, pictures: Array, right: Array, k: int) -> None:
    """The composition of prefix and suffix is the model, at every k and at batch 1 and 8."""
    stages = len(chain.plan.stages)
    for batch in (pictures, pictures[:1]):
        crossing = chain.run({"image": batch}, 0, k)
        handed = {name: crossing[name] for name in chain.plan.cuts[k].values}
        answer = chain.answer(chain.run(handed, k, stages))
        assert not differs(answer["logits"], right[: len(batch)])


@pytest.mark.parametrize("stage", range(3))
def test_a_wrong_suffix_does_not_pass_for_parity(chain: Chain, pictures: Array, right: Array, stage: int) -> None:
    """Weights off by a tenth of a percent in any single stage are caught by the same comparison."""
    model = onnx.load_from_string(read_stage(MNIST, chain.plan.stages[stage]))
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    changed = onnx.numpy_helper.to_array(weights) * np.float32(1.001)
    weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
    wrong = list(chain.stages)
    wrong[stage] = engine_for("onnx", 1).load(model.SerializeToString())
    assert differs(Chain(chain.plan, wrong).run({"image": pictures}, 0, 3)["logits"], right)


def test_what_was_handed_in_stays_alive(chain: Chain, pictures: Array) -> None:
    """Values that pass a stage are still there behind it, and the caller's own mapping is left alone."""
    values = {"image": pictures}
    live = chain.run(values, 0, 2)
    assert set(live) == {"image", "relu3", "pool5"}
    assert set(values) == {"image"}


def test_timing_a_chain_gives_its_answer_and_a_time_for_each_stage(chain: Chain) -> None:
    """The timed run computes the same, and no stage takes no time."""
    values = sample_values(chain)
    live, seconds = chain.timed(values)
    np.testing.assert_array_equal(live["logits"], chain.run(values, 0, 3)["logits"])
    assert len(seconds) == 3
    assert min(seconds) > 0


@pytest.mark.parametrize("what", ["inputs", "outputs"])
def test_a_stage_with_other_tensors_than_its_plan_is_refused(fake_plan: Path, what: str) -> None:
    """A stage file whose tensors are not those the plan announces is named, with the tensor at fault."""
    plan = load_plan(fake_plan)
    wrong: Any = {what: (TensorSpec("stranger", "float32", (None, 1)),)}
    stages = (replace(plan.stages[0], **wrong), *plan.stages[1:])
    with pytest.raises(InputError, match=rf"stage0\.json .*{what[:-1]} .*stranger"):
        load_chain(replace(plan, stages=stages), engine_for("fake"), lambda stage: read_stage(fake_plan, stage))


def test_stages_load_through_any_reader(fake_plan: Path) -> None:
    """A chain takes its stage files from whoever hands them out, each asked for once."""
    plan = load_plan(fake_plan)
    asked = []

    def read(stage: Any) -> bytes:
        asked.append(stage.digest)
        return read_stage(fake_plan, stage)

    chain = load_chain(plan, engine_for("fake"), read)
    assert asked == [stage.digest for stage in plan.stages]
    assert all(len(digest) == hashlib.sha256().digest_size * 2 for digest in asked)
    assert chain.run(sample_values(chain), 0, 3)["y"].shape == (1, 4)
