"""Calibration fits and measures codecs on real digits, goes on where it stopped, and both halves understand them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from partway.cloud.answer import answer, check
from partway.cloud.models.repository import load_model
from partway.edge.pipeline.encoder import Packer
from partway.edge.sources.files import Sample
from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.calibrate import run as codec_calibration
from partway.partitioner.calibrate.accuracy import Frame
from partway.partitioner.calibrate.inputs import read_frames
from partway.partitioner.calibrate.run import CodecCalibration, Notes, calibration_key
from partway.partitioner.decide.candidates import kept_share, plan_candidates, worthwhile
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.plan import Plan, load_plan, plan_from_json, plan_to_json, save_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import model_folder, sample_folder
from partway.proto.codecs.registry import is_fitted
from partway.proto.frame import decode_request


@pytest.fixture(scope="module")
def mnist() -> Chain:
    """The shipped model."""
    folder = model_folder("mnist")
    plan = load_plan(folder)
    return load_folder(folder, plan, engine_for(plan.engine, 1))


@pytest.fixture(scope="module")
def frames(mnist: Chain) -> list[Frame]:
    """The drawn digits that come with it, shifted about."""
    folder = sample_folder(model_folder("mnist"))
    assert folder is not None
    found = read_frames(folder, mnist.plan, 10)
    preprocess = Preprocess.from_json(mnist.plan.input)
    assert preprocess is not None
    moved = []
    for frame in found:
        assert frame.pixels is not None
        for shift in ((0, 0), (1, 0), (0, 1), (-1, -1)):
            pixels = np.ascontiguousarray(np.roll(frame.pixels, shift, (0, 1)))
            moved.append(Frame({preprocess.value: preprocess.tensor(pixels)}, pixels))
    return moved


def calibrate(chain: Chain, frames: Sequence[Frame], notes: Notes) -> CodecCalibration:
    """All of it."""
    work = CodecCalibration(chain, Preprocess.from_json(chain.plan.input), frames, notes, fitted=True)
    for _ in work.steps():
        pass
    return work


@pytest.fixture(scope="module")
def work(mnist: Chain, frames: list[Frame]) -> CodecCalibration:
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
    mnist: Chain, frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    mnist: Chain, work: CodecCalibration, frames: list[Frame], tmp_path: Path
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
    message = Packer(plan).frame("0", 1, codec, [Sample("x", values=dict(frames[0].values))], live)
    frame = decode_request(message)
    reply = answer(check({plan.model: served}, frame.header), frame, 0.0, lambda: 0.0)
    found = np.frombuffer(reply.frame.raw[0], np.float32)
    right = mnist.run(frames[0].values, 0, 3)[plan.outputs[0]][0]
    assert np.linalg.norm(found - right) < 0.5 * np.linalg.norm(right)
    assert not np.array_equal(found, right)


def test_a_model_that_does_not_classify_has_a_budget_too(mnist: Chain, frames: list[Frame]) -> None:
    """What its output is off by, relative to its length: a looser budget admits more, nothing that is off by more."""
    chain = Chain(replace(mnist.plan, output={}), mnist.stages)
    work = calibrate(chain, frames[:9], Notes(None, ""))
    assert all(entry["agreement"] is None and entry["cosine"] <= 1 + 1e-9 for entry in work.entries)
    off = {(entry["k"], entry["codec"]): entry["relative_error"] for entry in work.entries}
    candidates = plan_candidates(replace(chain.plan, candidates=tuple(work.entries), codecs=tuple(work.codecs)))
    lossy = [one for one in candidates if not one.lossless]
    by_budget = {most: {(c.k, c.codec) for c in lossy if c.admitted(most)} for most in (0.0, 2.0, 20.0)}
    for most, found in by_budget.items():
        assert found == {(c.k, c.codec) for c in lossy if off[c.k, str(c.codec)] * 100 <= most + 1e-6}
    assert by_budget[0.0] < by_budget[2.0] < by_budget[20.0]


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ({"agreement": None}, None),
        ({"agreement": None, "relative_error": 0.03}, 0.97),
        ({"agreement": None, "relative_error": float("nan")}, 0.0),
        ({"agreement": 0.97}, 0.97),
        ({"agreement": 0.97, "accuracy": 0.9, "accuracy_unsplit": 0.9, "frames": 10**6}, 0.9998),
        ({"agreement": 0.97, "accuracy": 0.95, "accuracy_unsplit": 0.9, "frames": 100}, 0.9827),
        ({"agreement": 0.9, "accuracy": 0.8, "accuracy_unsplit": 0.9, "frames": 100}, 0.9),
    ],
)
def test_accuracy_counts_as_far_as_the_frames_tell(entry: dict[str, Any], kept: float | None) -> None:
    """Few frames prove little; the agreement is what is left at least."""
    assert kept_share(entry) == (None if kept is None else pytest.approx(kept, abs=1e-4))


def test_a_codec_that_another_beats_in_both_is_not_worthwhile(mnist: Chain) -> None:
    """Larger and worse."""
    rows = [("raw", 100.0, 1.0), ("q8", 50.0, 0.99), ("q6", 60.0, 0.98), ("q4", 30.0, 0.9), ("zstd", 80.0, 1.0)]
    entries = tuple({"k": 1, "codec": c, "bytes_mean": b, "agreement": a} for c, b, a in rows)
    assert worthwhile(replace(mnist.plan, candidates=entries), 1) == ["q4", "q8", "zstd"]


def test_inputs_come_from_folders_and_arrays(mnist: Chain, tmp_path: Path) -> None:
    """With their classes where those are told."""
    images = np.arange(4 * 28 * 28, dtype=np.uint32).reshape(4, 28, 28).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(4))
    found = read_frames(tmp_path / "a.npz", mnist.plan, 2, offset=1)
    assert [frame.label for frame in found] == [1, 3]
    assert found[1].pixels is not None
    assert np.array_equal(found[1].pixels[:, :, 0], images[2])
    (tmp_path / "d").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "d" / "x.png")
    (tmp_path / "t.json").write_text('{"x.png": 7}')
    assert read_frames(tmp_path / "d", mnist.plan, 5, tmp_path / "t.json")[0].label == 7


def test_inputs_that_cannot_be_used_are_named(mnist: Chain, tmp_path: Path) -> None:
    """One sentence each."""
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    (tmp_path / "t.json").write_text("[1]")
    (tmp_path / "d").mkdir()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "d" / "x.png")
    np.savez(tmp_path / "other.npz", z=np.zeros((2, 3)))
    np.savez(tmp_path / "labels.npz", images=np.zeros((2, 28, 28), np.uint8), labels=np.zeros(3))
    cases = [
        ((tmp_path / "none",), "no folder and no .npz"),
        ((tmp_path / "bad.npz",), "cannot be read"),
        ((tmp_path / "other.npz",), "lacks"),
        ((tmp_path / "labels.npz",), "3 labels"),
    ]
    for (path,), words in cases:
        with pytest.raises(InputError, match=words):
            read_frames(path, mnist.plan, 5)
    with pytest.raises(InputError, match="no JSON object"):
        read_frames(tmp_path / "d", mnist.plan, 5, tmp_path / "t.json")
