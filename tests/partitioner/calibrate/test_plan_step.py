"""The step of planning that measures codecs and fits them."""

from pathlib import Path

from partway.engines.registry import engine_for
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.calibrate.plan_step import calibrated, remove_notes
from partway.partitioner.calibrate.run import PART_FILE
from partway.partitioner.plan.chain import Chain
from partway.partitioner.zoo import model_folder


def test_made_up_frames_tell_nothing_of_answers(mnist: Chain, frames: list[CalibrationFrame], tmp_path: Path) -> None:
    """Every candidate has its bytes and seconds, and no agreement; nothing is fitted and no file is left."""
    plan = calibrated(mnist, engine_for("onnx", 1), frames[:2], tmp_path, None)
    assert {(0, "raw"), (1, "fp16"), (2, "q8")} <= {(one["k"], one["codec"]) for one in plan.candidates}
    assert all(one["agreement"] is one["relative_error"] is one["cosine"] is None for one in plan.candidates)
    assert all(one["bytes_mean"] > 0 for one in plan.candidates)
    assert plan.codecs == ()
    assert not list(tmp_path.iterdir())


def test_real_frames_are_kept_until_the_plan_is_written(
    mnist: Chain, frames: list[CalibrationFrame], tmp_path: Path
) -> None:
    """What a calibration can go on from lies beside the plan; ``done`` takes it away, twice without complaint."""
    for stage in mnist.plan.stages:
        (tmp_path / stage.file).write_bytes((model_folder("mnist") / stage.file).read_bytes())
    plan = calibrated(mnist, engine_for("onnx", 1), frames[:2], tmp_path, tmp_path)
    assert all(one["agreement"] is not None for one in plan.candidates)
    assert (tmp_path / PART_FILE).is_file()
    remove_notes(tmp_path)
    remove_notes(tmp_path)
    assert not (tmp_path / PART_FILE).exists()
