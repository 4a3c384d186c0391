"""Calibration fits and measures codecs on real digits, goes on where it stopped, and both halves understand them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from partway.cloud.answer import answer, check_header
from partway.cloud.models.repository import load_model
from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.partitioner.calibrate import run as codec_calibration
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.calibrate.run import CodecCalibration, Notes, calibration_key
from partway.partitioner.decide.candidates import plan_candidates
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan, plan_to_json
from partway.partitioner.plan.plan_file import plan_from_json, save_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import model_folder
from partway.proto.codecs.registry import is_fitted
from partway.proto.frame import decode_request


def calibrate(chain: Chain, frames: Sequence[CalibrationFrame], notes: Notes) -> CodecCalibration:
    """All of it."""
    work = CodecCalibration(chain, Preprocess.from_json(chain.plan.input), frames, notes, fitted=True)
    for _ in work.steps():
        pass
    return work


@pytest.fixture(scope="module")
def work(mnist: Chain, frames: list[CalibrationFrame]) -> CodecCalibration:
    """One calibration of it."""
    return calibrate(mnist, frames, Notes(None, ""))


def test_every_split_and_codec_is_measured(mnist: Chain, work: CodecCalibration) -> None:
    """Bytes, seconds and what the answers keep, for uncoded and coded, pictures and activations."""
    kinds = {(entry["k"], entry["codec"]) for entry in work.entries}
    assert kinds >= {(0, "u8"), (0, "jpeg75"), (0, "webp75"), (1, "raw"), (1, "zstd"), (2, "fp16"), (2, "q4")}
    for entry in work.entries:
        assert 0 < entry["bytes_mean"] <= entry["bytes_p95"] * 1.5
        assert entry["encode_s"] > 0
        assert entry["decode_s"] > 0
        assert 0 <= entry["agreement"] <= 1
    lossless = [entry for entry in work.entries if entry["codec"] in ("raw", "zstd", "u8", "png", "webp-lossless")]
    assert all(entry["agreement"] == 1 and entry["relative_error"] == 0 for entry in lossless)


def test_fitted_codecs_send_less_than_any_other_that_answers_alike(work: CodecCalibration) -> None:
    """Or there would be no reason to fit them."""
    for k in (1, 2):
        same = [entry for entry in work.entries if entry["k"] == k and entry["agreement"] >= 0.97]
        assert is_fitted(min(same, key=lambda entry: float(entry["bytes_mean"]))["codec"])


def test_what_is_kept_of_the_fitted_codecs_is_the_frontier(work: CodecCalibration) -> None:
    """Smaller ones keep fewer answers, or the larger would not be there; every candidate has its parameters."""
    for k in (1, 2):
        mine = [e for e in work.entries if e["k"] == k and is_fitted(e["codec"])]
        mine.sort(key=lambda entry: float(entry["bytes_mean"]))
        shares = [entry["agreement"] for entry in mine]
        assert shares == sorted(set(shares))
    names = {quality["name"] for entry in work.codecs for quality in entry["qualities"]}
    assert {e["codec"] for e in work.entries if is_fitted(e["codec"])} == names


def test_it_goes_on_where_it_stopped(
    mnist: Chain, frames: list[CalibrationFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was noted is not measured again; a torn last line is; other frames are another calibration."""
    key = calibration_key(mnist.plan, frames[:9])
    first = calibrate(mnist, frames[:9], Notes(tmp_path / "part", key))
    with (tmp_path / "part").open("a") as file:
        file.write('{"of": "')
    monkeypatch.setattr(codec_calibration, "measure_codec", None)
    monkeypatch.setattr(codec_calibration, "fit_split", None)
    again = calibrate(mnist, frames[:9], Notes(tmp_path / "part", key))
    assert (again.entries, again.codecs) == (first.entries, first.codecs)
    with pytest.raises(TypeError):
        calibrate(mnist, frames[:8], Notes(tmp_path / "part", calibration_key(mnist.plan, frames[:8])))


def test_both_halves_understand_what_the_plan_brings(
    mnist: Chain, work: CodecCalibration, frames: list[CalibrationFrame], tmp_path: Path
) -> None:
    """From the plan's JSON to an answer in the cloud, and back to nearly the one of the unsplit model."""
    plan: Plan = plan_from_json(json.loads(json.dumps(plan_to_json(replace(mnist.plan, codecs=tuple(work.codecs))))))
    assert plan.digest != mnist.plan.digest
    for stage in plan.stages:
        (tmp_path / stage.file).write_bytes((model_folder("mnist") / stage.file).read_bytes())
    save_plan(plan, tmp_path)
    served = load_model(tmp_path, 1)
    codec = next(
        q["name"] for entry in work.codecs if entry["value"] == plan.cuts[1].values[0] for q in entry["qualities"]
    )
    live = mnist.run(frames[0].values, 0, 1)
    message = Encoder(plan).frame("0", 1, codec, [Sample("x", values=dict(frames[0].values))], live)
    frame = decode_request(message)
    reply = answer(check_header({plan.model: served}, frame.header), frame, 0.0, lambda: 0.0)
    found = np.frombuffer(reply.frame.raw[0], np.float32)
    right = mnist.run(frames[0].values, 0, 3)[plan.outputs[0]][0]
    assert np.linalg.norm(found - right) < 0.5 * np.linalg.norm(right)
    assert not np.array_equal(found, right)


def test_a_model_that_does_not_classify_has_a_budget_too(mnist: Chain, frames: list[CalibrationFrame]) -> None:
    """What its output is off by, relative to its length: a looser budget admits more, nothing that is off by more."""
    chain = Chain(replace(mnist.plan, output={}), mnist.stages)
    work = calibrate(chain, frames[:9], Notes(None, ""))
    assert all(entry["cosine"] <= 1 + 1e-9 for entry in work.entries)
    off = {(entry["k"], entry["codec"]): entry["relative_error"] for entry in work.entries}
    candidates = plan_candidates(replace(chain.plan, candidates=tuple(work.entries), codecs=tuple(work.codecs)))
    lossy = [one for one in candidates if not one.lossless]
    by_budget = {most: {(c.k, c.codec) for c in lossy if c.admitted(most)} for most in (0.0, 2.0, 20.0)}
    for most, found in by_budget.items():
        assert found == {(c.k, c.codec) for c in lossy if off[c.k, str(c.codec)] * 100 <= most + 1e-6}
    assert by_budget[0.0] < by_budget[2.0] < by_budget[20.0]
