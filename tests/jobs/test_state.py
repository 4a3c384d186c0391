"""Models with state between frames in real processes: every split, a killed cloud, two devices at one cloud.

The references are the original files in a plain ONNX Runtime or LiteRT that keeps the state, over 60 frames.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from tests.conftest import RealCloud
from tests.support.remembering import SIZE, picture_onnx, plain_tflite, recurrent_onnx

from partway.edge import Session
from partway.partitioner.plan.plan_file import load_plan

pytest.importorskip("ai_edge_litert")
Array = np.ndarray[Any, Any]
EdgeRun = Callable[..., subprocess.CompletedProcess[str]]
StartCloud = Callable[..., RealCloud]
FRAMES = 60
RATE = 16_000


@dataclass(frozen=True)
class Model:
    """A planned model, its frames (one input, first axis), and the right answers to them, for one seed each."""

    folder: Path
    value: str
    frames: Callable[[int], Array]
    answers: Callable[[Array], list[Array]]

    def right(self, seed: int = 0) -> tuple[Array, list[Array]]:
        """The frames of this seed and their answers."""
        frames = self.frames(seed)
        return frames, self.answers(frames)


def partway(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "partway", *words], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def speech(seed: int) -> Array:
    """Syllables of a voice with pauses and noise: 60 pieces of 512 samples at 16 kHz."""
    rng = np.random.default_rng(seed)
    t = np.arange(FRAMES * 512) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * (0.7 + 0.2 * seed) * t)) / RATE
    voice = np.sum([np.sin(n * pitch) / n for n in range(1, 20)], axis=0)
    loud = (np.sin(2 * np.pi * 1.3 * t + seed) > 0) * np.abs(np.sin(2 * np.pi * 4 * t))
    return (0.3 * voice * loud + 0.01 * rng.standard_normal(t.size)).astype(np.float32).reshape(FRAMES, 512)


def spectra(seed: int) -> Array:
    """Smoothly changing spectra, as the wake word's front end makes them: 60 pieces of 3 x 40, int8."""
    rng = np.random.default_rng((134, 80)[seed])
    base = rng.normal(0, 1, (6, 40))
    rng.integers(2, 12)
    at = np.linspace(0, 5, FRAMES * 3)
    smooth = np.stack([np.interp(at, np.arange(6), base[:, band]) for band in range(40)], 1)
    found = -30 + rng.uniform(30, 90) * smooth + rng.normal(0, 8, smooth.shape)
    return np.clip(found, -128, 127).astype(np.int8).reshape(FRAMES, 3, 40)


def silero_answers(file: Path) -> Callable[[Array], list[Array]]:
    def answers(frames: Array) -> list[Array]:
        session, state, found = ort.InferenceSession(file), np.zeros((2, 1, 128), np.float32), []
        for frame in frames:
            feeds = {"input": frame[None], "state": state, "sr": np.asarray(RATE)}
            output, state = session.run(["output", "stateN"], feeds)
            found.append(output)
        return found

    return answers


def recurrence_answers(file: Path) -> Callable[[Array], list[Array]]:
    def answers(frames: Array) -> list[Array]:
        session, state, found = ort.InferenceSession(file), np.zeros((1, SIZE), np.float32), []
        for frame in frames:
            output, state = session.run(["y", "stateN"], {"x": frame[None], "state": state})
            found.append(output)
        return found

    return answers


def noise(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((FRAMES, SIZE)).astype(np.float32)


@pytest.fixture(scope="module")
def recurrence(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small ONNX recurrence with the batch first, so that frames of two devices may run together."""
    folder = tmp_path_factory.mktemp("recurrence")
    file = recurrent_onnx(folder / "recurrence.onnx")
    partway("plan", str(file), "--out", str(folder / "plan"), "--cuts", "f+b,stateN,c")
    return Model(folder / "plan", "x", noise, recurrence_answers(file))


def planned(name: str, data: Path, out: Path) -> Model:
    """One of the reference models."""
    file = data / "models" / name
    options = [] if file.suffix == ".tflite" else ["--example", f"sr={RATE}", "--shape", "input=1x512"]
    partway("plan", str(file), "--out", str(out), *options)
    if file.suffix == ".tflite":
        (value,) = (spec.name for spec in load_plan(out).frame_inputs)
        return Model(out, value, spectra, lambda frames: plain_tflite(file, [frame[None] for frame in frames]))
    return Model(out, "input", speech, silero_answers(file))


def assert_right(found: list[Array], right: list[Array]) -> None:
    assert len(found) == len(right)
    for one, expected in zip(found, right, strict=True):
        assert one.dtype == expected.dtype
        np.testing.assert_allclose(one.astype(np.float64), expected, rtol=1e-4, atol=1e-5)


def by_session(model: Model, seed: int = 0, **options: Any) -> tuple[list[Array], set[str]]:
    """The answers to the frames of this seed, and who gave them."""
    with Session(model.folder, **options) as session:
        results = list(session.run({model.value: frame[None]} for frame in model.frames(seed)))
    return [next(iter(result.outputs.values())) for result in results], {result.answered_by for result in results}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silero_vad_16k_op15.onnx", "silero_vad_op18_ifless.onnx", "okay_nabu.tflite"])
def test_real_models_answer_like_their_own_runtime_at_every_split(
    name: str, data: Path, tmp_path: Path, start_cloud: StartCloud
) -> None:
    """With a cloud in another process; and ``verify`` against the original file says the same."""
    model = planned(name, data, tmp_path)
    frames, right = model.right()
    assert len({answer.tobytes() for answer in right}) > 2  # a constant would prove nothing
    cloud = start_cloud("--models", str(model.folder))
    plan = load_plan(model.folder)
    assert plan.state
    for k in plan.splits:
        found, by = by_session(model, split=k, cloud=cloud.address)
        assert_right(found, right)
        assert ("cloud" if k < len(plan.stages) else "device") in by
    np.savez(tmp_path / "clip.npz", **{model.value: frames})
    original = ("--against", str(data / "models" / name))
    rows = json.loads(partway("verify", str(model.folder), *original, "--json"))["splits"]
    rows += json.loads(
        partway("verify", str(model.folder), *original, "--inputs", str(tmp_path / "clip.npz"), "--json")
    )["splits"]
    assert max(row["error"] for row in rows) <= 1e-5


@pytest.mark.slow
def test_a_model_that_takes_a_first_state_only_needs_no_stream(data: Path, tmp_path: Path) -> None:
    """AEC-MOS: no output continues its ``h0``, so each clip starts from the example, and frames are independent."""
    file = data / "models" / "aecmos.onnx"
    partway("plan", str(file), "--out", str(tmp_path), "--example", "h0=0", "--shape", "input=1x3x100x160")
    assert load_plan(tmp_path).state == ()
    clips = [np.random.default_rng(seed).standard_normal((1, 3, 100, 160)).astype(np.float32) for seed in range(3)]
    original = ort.InferenceSession(file)
    right = [original.run(None, {"input": clip, "h0": np.zeros((4, 1, 64), np.float32)})[0] for clip in clips]
    for k in load_plan(tmp_path).splits:
        with Session(tmp_path, split=k, cloud="embedded") as session:
            assert_right([session.infer({"input": clip}).outputs["output"] for clip in clips], right)


@pytest.mark.slow
def test_two_devices_at_one_cloud_keep_their_own_state(recurrence: Model, start_cloud: StartCloud) -> None:
    """Each gets the answers to its own sequence, while their frames may run as one batch."""
    cloud = start_cloud("--models", str(recurrence.folder))
    with ThreadPoolExecutor(4) as devices:
        runs = [devices.submit(by_session, recurrence, seed, split=seed % 3, cloud=cloud.address) for seed in range(4)]
        for seed, run in enumerate(runs):
            found, by = run.result()
            assert_right(found, recurrence.right(seed)[1])
            assert "cloud" in by


@pytest.mark.slow
@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_a_killed_cloud_costs_no_state(recurrence: Model, start_cloud: StartCloud, k: int) -> None:
    """The device goes on with the state it holds; then another cloud does."""
    first, second = (start_cloud("--models", str(recurrence.folder)) for _ in range(2))
    frames, right = recurrence.right()
    with Session(recurrence.folder, split=k, cloud=[first.address, second.address]) as session:
        results = []
        for index, frame in enumerate(frames):
            if index == 20:
                first.process.kill()
            if index == 40:
                second.process.kill()
            results.append(session.infer({"x": frame[None]}))
    assert_right([result.outputs["y"] for result in results], right)
    assert "cloud" in {result.answered_by for result in results[:20]}  # a busy machine may finish some itself
    assert results[-1].answered_by == "device"


def test_edge_run_takes_a_file_as_one_sequence(recurrence: Model, tmp_path: Path, edge_run: EdgeRun) -> None:
    """Frames lie along the first axis; a second file, and a second round, begin anew."""
    frames, right = recurrence.right()
    np.savez(tmp_path / "clip.npz", x=frames)
    clip = ("--input", str(tmp_path / "clip.npz"))
    classes = [int(np.argmax(answer)) for answer in right]
    options = ("--model", str(recurrence.folder), "--split", "1", "--cloud", "embedded", "--json", "-")
    for more, rounds in (((), 1), (clip, 2), (("--frames", str(2 * FRAMES)), 2)):
        done = edge_run(*options, *clip, *more)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)["frames"]
        assert [frame["top"][0]["index"] for frame in found] == classes * rounds
        shares = [frame["top"][0]["probability"] for frame in found]
        assert shares[:FRAMES] * rounds == pytest.approx(shares, rel=1e-4)


def test_a_session_begins_anew_when_told(recurrence: Model) -> None:
    """Without ``reset`` it goes on where it was."""
    frames, right = recurrence.right()
    with Session(recurrence.folder, split=1, cloud="embedded") as session:
        first = [session.infer({"x": frame[None]}).outputs["y"] for frame in frames[:3]]
        session.reset()
        again = [session.infer({"x": frame[None]}).outputs["y"] for frame in frames[:3]]
        on = session.infer({"x": frames[0][None]}).outputs["y"]
    assert_right(first, right[:3])
    assert_right(again, right[:3])
    assert np.abs(on - right[0]).max() > 0.01


@pytest.mark.parametrize("split", [0, 1, "device"])
def test_pictures_beside_a_state_are_sent_as_tensors(tmp_path: Path, split: int | str) -> None:
    """A picture codec would leave the state behind."""
    model, out = str(picture_onnx(tmp_path / "sum.onnx")), str(tmp_path / "plan")
    partway("plan", model, "--out", out, "--scale", "1", "--cuts", "hn")
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    with Session(tmp_path / "plan", split=split, cloud="embedded") as session:
        results = list(session.run(pictures))
    sums = np.cumsum(pictures.astype(np.float64), axis=0).mean(axis=(1, 2))
    assert_right([result.outputs["y"] for result in results], list(sums[:, None].astype(np.float32)))
    assert ("device" if split == "device" else "cloud") in {result.answered_by for result in results}


@pytest.mark.parametrize("option", ["--batch", "--window"])
def test_frames_that_overlap_are_refused_in_a_sentence(recurrence: Model, edge_run: EdgeRun, option: str) -> None:
    """Frames of a stream depend on one another."""
    done = edge_run("--model", str(recurrence.folder), option, "2", "--cloud", "none")
    assert done.returncode == 2
    assert f"one by one; leave out {option}" in done.stderr
    assert "Traceback" not in done.stderr


def test_most_frames_a_second_are_those_of_least_latency(recurrence: Model) -> None:
    """Frames of a stream do not overlap, so throughput is chosen by latency."""
    with Session(recurrence.folder, cloud="embedded", objective="throughput") as session:
        assert session.decision.ranking.objective.is_latency
