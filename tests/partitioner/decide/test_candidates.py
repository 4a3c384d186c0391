"""The candidates of a plan, measured or by their tensors' sizes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.calibrate.inputs import read_frames
from partway.partitioner.decide.candidates import candidate_name, kept_share, plan_candidates, short_name, worthwhile
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import model_folder, sample_folder


def test_what_was_measured_of_a_codec_becomes_a_candidate(plan: Plan) -> None:
    """Bytes and times are the recorded ones, and what the plan says nothing of comes from the tensors' sizes."""
    entry = {
        "k": 1,
        "codec": "q8",
        "bytes_mean": 17.6,
        "encode_s": 1e-3,
        "decode_s": 2e-3,
        "agreement": 0.99,
        "frames": 8,
    }
    made = plan_candidates(replace(plan, candidates=(entry,)))
    assert [(c.k, c.codec) for c in made] == [(0, "raw"), (0, "fp16"), (1, "q8"), (2, "raw"), (2, "fp16"), (3, None)]
    q8 = made[2]
    assert (q8.size_bytes, q8.encode_s, q8.decode_s, q8.agreement, q8.lossless) == (178, 1e-3, 2e-3, 0.99, False)
    assert [c.size_bytes for c in made[:2]] == [256 + 160, 128 + 41 + 160]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"k": 1},
        {"k": 9, "codec": "raw", "bytes_mean": 1, "encode_s": 0, "decode_s": 0},
        {"k": 1, "codec": "raw", "bytes_mean": -1, "encode_s": 0, "decode_s": 0},
        {"k": 1, "codec": "raw", "bytes_mean": 1, "encode_s": float("nan"), "decode_s": 0},
        {"k": 1, "codec": "raw", "bytes_mean": "much", "encode_s": 0, "decode_s": 0},
        {"k": 1, "codec": "raw", "bytes_mean": 1, "encode_s": 0, "decode_s": 0, "agreement": []},
    ],
)
def test_a_damaged_candidate_is_refused(plan: Plan, entry: dict[str, object]) -> None:
    """A plan edited by hand is an input error, never a traceback."""
    with pytest.raises(InputError, match="partway plan"):
        plan_candidates(replace(plan, candidates=(entry,)))


@pytest.mark.parametrize(
    ("candidate", "long", "short"),
    [
        (Candidate(0, "webp75"), "all in the cloud (webp75)", "cloud, webp75"),
        (Candidate(2, "fp16"), "split 2 at b (fp16)", "split 2, fp16"),
        (Candidate(3, None), "all on the device", "device"),
    ],
)
def test_candidates_have_names(plan: Plan, candidate: Candidate, long: str, short: str) -> None:
    """In full for sentences, in short for charts."""
    assert (candidate_name(candidate, plan), short_name(candidate)) == (long, short)


@pytest.fixture(scope="module")
def frames(mnist: Chain) -> list[CalibrationFrame]:
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
            moved.append(CalibrationFrame({preprocess.value: preprocess.tensor(pixels)}, pixels))
    return moved


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


def test_a_codec_that_another_beats_in_both_is_not_worthwhile(plan: Plan) -> None:
    """Larger and worse."""
    rows = [("raw", 100.0, 1.0), ("q8", 50.0, 0.99), ("q6", 60.0, 0.98), ("q4", 30.0, 0.9), ("zstd", 80.0, 1.0)]
    entries = tuple({"k": 1, "codec": c, "bytes_mean": b, "agreement": a} for c, b, a in rows)
    assert worthwhile(replace(plan, candidates=entries), 1) == ["q4", "q8", "zstd"]
