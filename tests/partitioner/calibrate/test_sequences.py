"""A model with state between frames is calibrated, quantised and timed along a sequence."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from tests.support.remembering import SIZE, recurrent_bytes, recurrent_onnx

from partway.engines.registry import engine_for
from partway.partitioner.calibrate.accuracy import (
    CalibrationFrame,
    codecs_of,
    in_sequence,
    measure_codec,
    unsplit_answers,
)
from partway.partitioner.calibrate.fit_split import fit_split
from partway.partitioner.calibrate.inputs import read_frames
from partway.partitioner.decide.candidates import FRAME_OVERHEAD_BYTES, plan_candidates, reply_bytes
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.profile.measure import measure, sample_values
from partway.partitioner.slicing import make_plan
from partway.proto.codecs.packing import pack

Array = np.ndarray[Any, Any]
FRAMES = [np.random.default_rng(seed).standard_normal((1, SIZE)).astype(np.float32) for seed in range(10)]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A recurrence of four stages."""
    folder = tmp_path_factory.mktemp("recurrence")
    plan = make_plan(recurrent_onnx(folder / "model.onnx"), folder / "plan", ["f+b", "stateN", "c"])
    return load_folder(folder / "plan", plan, engine_for("onnx"))


def test_each_calibration_frame_has_the_state_before_it(chain: Chain) -> None:
    """As the unsplit model makes it from the frames before."""
    session, state = ort.InferenceSession(recurrent_bytes()), np.zeros((1, SIZE), np.float32)
    for frame, x in zip(in_sequence(chain, [CalibrationFrame({"x": x}) for x in FRAMES]), FRAMES, strict=True):
        np.testing.assert_allclose(frame.values["state"], state, rtol=1e-5, atol=1e-6)
        (state,) = session.run(["stateN"], {"x": x, "state": state})


def test_the_loss_of_a_codec_adds_up_in_the_state(chain: Chain) -> None:
    """Frame by frame the state is what the coded frames made, not what exact ones would have."""
    frames = in_sequence(chain, [CalibrationFrame({"x": x}) for x in FRAMES])
    unsplit = unsplit_answers(chain, frames)
    lives = [dict(frame.values) for frame in frames]
    entry = measure_codec(chain, None, unsplit, lives, 0, "q3")
    coarse = [_coarse(x) for x in FRAMES]
    found = [frame.values["state"] for frame in in_sequence(chain, [CalibrationFrame({"x": x}) for x in coarse])]
    answers = [chain.run({"x": x, "state": state}, 0, 4)["y"] for x, state in zip(coarse, found, strict=True)]
    errors = [
        np.linalg.norm(answer - exact["y"]) / np.linalg.norm(exact["y"])
        for answer, exact in zip(answers, unsplit.answers, strict=True)
    ]
    assert entry["relative_error"] == pytest.approx(np.mean(errors), rel=0.05)
    assert measure_codec(chain, None, unsplit, lives, 0, "raw")["relative_error"] == 0


def _coarse(x: Array) -> Array:
    from partway.proto.codecs.packing import unpack
    from partway.proto.tensors import TensorSpec

    head, data = pack("q3", "x", x)
    return unpack(head, data, TensorSpec("x", "float32", (None, SIZE)))


def test_state_is_never_coded(chain: Chain) -> None:
    """Neither by codecs that are measured nor by fitted ones, and its bytes count in every candidate."""
    assert codecs_of(chain.plan, 2, pictures=False) == ["raw"]
    frames = in_sequence(chain, [CalibrationFrame({"x": x}) for x in FRAMES])
    assert {entry["value"] for entry in fit_split(chain, 0, [dict(frame.values) for frame in frames])} <= {"x"}
    sizes = {(one.k, one.codec): one.size_bytes for one in plan_candidates(chain.plan)}
    assert sizes[0, "raw"] == 2 * 4 * SIZE + FRAME_OVERHEAD_BYTES
    assert 4 * SIZE + 2 * SIZE < sizes[0, "fp16"] - FRAME_OVERHEAD_BYTES < 4 * SIZE + 3 * SIZE
    assert (2, "fp16") not in sizes


def test_the_bytes_of_an_answer_are_those_that_come_back(chain: Chain) -> None:
    """The new state where the cloud makes it, none where the device has it."""
    answer = 8 * 4 + FRAME_OVERHEAD_BYTES
    assert [reply_bytes(chain.plan, k) for k in range(4)] == [answer + 4 * SIZE] * 2 + [answer] * 2


def test_real_frames_of_a_sequence_are_its_first_ones(chain: Chain, tmp_path: Path) -> None:
    """Others would not follow one another."""
    np.savez(tmp_path / "clip.npz", x=np.concatenate(FRAMES))
    frames = read_frames(tmp_path / "clip.npz", chain.plan, 4)
    assert [frame.values["x"].tobytes() for frame in frames] == [x.tobytes() for x in FRAMES[:4]]


def test_timing_runs_along_the_sequence(chain: Chain) -> None:
    """Each round reads the state that the round before made."""
    states = []

    class Spying:
        def __init__(self, stage: Any) -> None:
            self.inputs, self.outputs, self._stage = stage.inputs, stage.outputs, stage

        def run(self, values: Any) -> Any:
            states.append(values["state"].tobytes())
            return self._stage.run(values)

    spied = Chain(chain.plan, [Spying(chain.stages[0]), *chain.stages[1:]])
    measure(spied, sample_values(spied), budget_s=0, least=5)
    assert len(set(states[:5])) == 5
    assert states[0] == np.zeros((1, SIZE), np.float32).tobytes()
