"""The part of ``partway plan`` that measures codecs, and the table of what came of it."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.cli.codec_step import calibrated, calibration_arguments, calibration_frames, codec_table, done
from partway.engines.interface import engine_for
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.calibrate.run import PART_FILE
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.zoo import model_folder


def parsed(*words: str) -> argparse.Namespace:
    """These words as the command reads them."""
    parser = argparse.ArgumentParser()
    calibration_arguments(parser)
    return parser.parse_args(words)


def shown(plan: Plan, max_drop: float) -> list[list[str]]:
    """The cells of the table, row by row."""
    columns = [list(column.cells) for column in codec_table(plan, max_drop).columns]
    return [[str(cell) for cell in row] for row in zip(*columns, strict=True)]


def entry(k: int, codec: str, size: float, agreement: float | None, **more: Any) -> dict[str, Any]:
    """One candidate as calibration notes it."""
    base = {"k": k, "codec": codec, "bytes_mean": size, "bytes_p95": size, "encode_s": 1e-3, "decode_s": 1e-3}
    return {**base, "frames": 100, "agreement": agreement, "relative_error": None, **more}


def test_without_inputs_frames_are_made_up(mnist: Chain) -> None:
    """Random pictures that tell sizes and times; the same every time."""
    first, again = (calibration_frames(parsed(), mnist.plan) for _ in range(2))
    assert len(first) == 8
    assert all(frame.label is None for frame in first)
    np.testing.assert_array_equal(first[3].values["image"], again[3].values["image"])


def test_inputs_are_read_as_the_options_say(mnist: Chain, tmp_path: Path) -> None:
    """At most so many, with an offset added to every class."""
    np.savez(tmp_path / "a.npz", images=np.zeros((6, 28, 28), np.uint8), labels=np.arange(6))
    given = ("--calibrate", str(tmp_path / "a.npz"), "--frames", "3", "--truth-offset", "1")
    assert [frame.label for frame in calibration_frames(parsed(*given), mnist.plan)] == [1, 3, 5]


def test_made_up_frames_tell_nothing_of_answers(mnist: Chain, frames: list[CalibrationFrame], tmp_path: Path) -> None:
    """Every candidate has its bytes and seconds, and no agreement; nothing is fitted and no file is left."""
    plan = calibrated(mnist, engine_for("onnx", 1), frames[:2], tmp_path, real=False)
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
    plan = calibrated(mnist, engine_for("onnx", 1), frames[:2], tmp_path, real=True)
    assert all(one["agreement"] is not None for one in plan.candidates)
    assert (tmp_path / PART_FILE).is_file()
    done(tmp_path)
    done(tmp_path)
    assert not (tmp_path / PART_FILE).exists()


def test_the_table_shows_what_might_be_chosen(mnist: Chain) -> None:
    """Codecs that another beats are left out, all but raw; those within the budget are marked."""
    entries = (
        entry(1, "raw", 9000.0, 1.0),
        entry(1, "q8", 2000.0, 0.995),
        entry(1, "q6", 2500.0, 0.99),
        entry(1, "q4", 1000.0, 0.9, accuracy=0.8, accuracy_unsplit=0.9),
    )
    plan = replace(mnist.plan, candidates=entries)
    rows = shown(plan, 1.0)
    assert [(row[0], row[1], row[-1]) for row in rows] == [("1", "raw", "yes"), ("1", "q8", "yes"), ("1", "q4", "")]
    assert rows[0][2:6] == ["9.00 KB", "9.00 KB", "2.00 ms", "100.0%"]
    assert rows[2][5:7] == ["90.0%", "80.0%"]
    assert rows[0][6] == "-"
    assert [row[-1] for row in shown(plan, 15.0)] == ["yes"] * 3


def test_of_a_model_that_does_not_classify_the_error_is_shown(mnist: Chain) -> None:
    """In place of the share of equal answers."""
    entries = (entry(1, "raw", 9000.0, None, relative_error=0.0), entry(1, "q8", 2000.0, None, relative_error=0.031))
    plan = replace(mnist.plan, candidates=entries, output={})
    assert [row[5] for row in shown(plan, 5.0)] == ["off 0.0%", "off 3.1%"]


def test_candidates_that_were_not_compared_are_all_shown(mnist: Chain) -> None:
    """Nobody knows yet which of them will do."""
    entries = (entry(1, "raw", 9000.0, None), entry(1, "q8", 2000.0, None), entry(1, "q4", 1000.0, None))
    rows = shown(replace(mnist.plan, candidates=entries), 1.0)
    assert [row[1] for row in rows] == ["raw", "q8", "q4"]
    assert [row[-1] for row in rows] == ["yes", "", ""]


def test_the_title_has_the_budget(mnist: Chain) -> None:
    """In points, without needless digits."""
    assert codec_table(replace(mnist.plan, candidates=()), 2.5).title == "what crosses (budget: 2.5 points)"


@pytest.mark.parametrize(
    ("name", "value"), [("frames", 64), ("max_drop", 1.0), ("truth_offset", 0), ("calibrate", None)]
)
def test_options_have_their_defaults(name: str, value: object) -> None:
    """Without a word about codecs."""
    assert getattr(parsed(), name) == value
