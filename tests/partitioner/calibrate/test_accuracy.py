"""Codecs measured on real frames: bytes, seconds, and what a lossy one costs the answer."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.linear import CLASSIFIES, linear_chain

from partway.partitioner.calibrate.accuracy import (
    CalibrationFrame,
    codecs_of,
    expected_agreement,
    measure_codec,
    unsplit_answers,
)
from partway.partitioner.calibrate.agreement import Answers
from partway.partitioner.plan.answer import AnswerReader
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto.codecs.registry import picture_names

Array = np.ndarray[Any, Any]


@pytest.fixture
def chain() -> Chain:
    """x [3, 8, 8] -> a [32] -> y [5]."""
    return linear_chain((3, 8, 8), (32,), (5,))


def frames(count: int, labels: Sequence[int | None] | None = None) -> list[CalibrationFrame]:
    """Random pictures with their tensors, and their classes where those are known."""
    rng = np.random.default_rng(0)
    preprocess = Preprocess("x", 8, 8, 3)
    pixels = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(count)]
    return [
        CalibrationFrame({"x": preprocess.tensor(picture)}, picture, labels[at] if labels else None)
        for at, picture in enumerate(pixels)
    ]


def lives(chain: Chain, some: Sequence[CalibrationFrame], k: int) -> list[dict[str, Array]]:
    """The values alive at a split in every frame."""
    return [dict(chain.run(frame.values, 0, k)) for frame in some]


def measured(chain: Chain, some: Sequence[CalibrationFrame], k: int, codec: str, **more: Any) -> dict[str, Any]:
    """One codec at one split."""
    known = unsplit_answers(chain, some, more.get("last_stage"))
    return measure_codec(chain, Preprocess("x", 8, 8, 3), known, lives(chain, some, k), k, codec, **more)


def test_the_unsplit_answers_are_what_the_chain_gives(chain: Chain) -> None:
    """Classes are the likeliest ones; labels count only when every frame has one."""
    some = frames(4, [0, 1, 2, 3])
    known = unsplit_answers(chain, some)
    right = [int(np.argmax(chain.run(frame.values, 0, 2)["y"])) for frame in some]
    assert known.classes == right
    assert known.labels == [0, 1, 2, 3]
    assert unsplit_answers(chain, frames(4, [0, None, 2, 3])).labels is None
    assert known.scores == []


def test_a_model_that_does_not_classify_has_no_classes(chain: Chain) -> None:
    """Whatever labels there are."""
    known = unsplit_answers(Chain(replace(chain.plan, output={}), chain.stages), frames(3, [0, 1, 2]))
    assert known.classes is None
    assert known.labels is None


def test_uncoded_values_cost_the_answer_nothing(chain: Chain) -> None:
    """Every byte is counted, no answer changes."""
    entry = measured(chain, frames(6, [0] * 6), 1, "raw")
    assert (entry["k"], entry["codec"], entry["frames"]) == (1, "raw", 6)
    assert entry["bytes_mean"] == entry["bytes_p95"] == 32 * 4
    assert (entry["agreement"], entry["relative_error"]) == (1.0, 0.0)
    assert entry["cosine"] == pytest.approx(1.0)
    assert entry["accuracy"] == entry["accuracy_unsplit"]
    assert min(entry["encode_s"], entry["decode_s"]) >= 0


def test_a_coarser_codec_sends_less_and_is_further_off() -> None:
    """Fewer bits, more error; both are measured, not assumed."""
    some, chain = frames(8), linear_chain((3, 8, 8), (1024,), (5,))
    fine, coarse = (measured(chain, some, 1, codec) for codec in ("q8", "q4"))
    assert coarse["bytes_mean"] < fine["bytes_mean"] < 1024 * 4
    assert 0 < fine["relative_error"] < coarse["relative_error"]
    assert coarse["cosine"] < fine["cosine"] < 1
    assert "accuracy" not in fine


def test_answers_that_turn_are_counted(chain: Chain) -> None:
    """Against stages that answer otherwise after the split, no frame agrees."""
    some = frames(5)
    known = unsplit_answers(chain, some)
    answers = [{"y": -answer["y"]} for answer in known.answers]
    turned = replace(known, answers=answers, exact=Answers(AnswerReader(chain.plan), answers))
    entry = measure_codec(chain, None, turned, lives(chain, some, 1), 1, "raw")
    assert entry["agreement"] == 0.0
    assert entry["relative_error"] == pytest.approx(2.0)
    assert entry["cosine"] == pytest.approx(-1.0)


def test_tensors_without_a_meaning_agree_but_for_their_error(chain: Chain) -> None:
    """So --max-drop 1 admits what is off by one per cent."""
    plain = Chain(replace(chain.plan, output={}), chain.stages)
    entry = measured(plain, frames(4), 1, "q4")
    assert entry["agreement"] == pytest.approx(1 - entry["relative_error"])
    assert 0 < entry["relative_error"] < 1
    assert entry["compared"] == 4
    assert json.loads(json.dumps(entry)) == entry, "the notes of a calibration and plan.json hold it"


def test_a_picture_codec_is_measured_on_the_pixels(chain: Chain) -> None:
    """A lossless one changes nothing, a poor JPEG does; both send fewer bytes than the floats."""
    some = frames(4)
    pixels, jpeg = (measured(chain, some, 0, codec) for codec in ("u8", "jpeg50"))
    assert pixels["relative_error"] == 0.0
    assert jpeg["relative_error"] > 0.0
    assert pixels["bytes_mean"] < 3 * 8 * 8 * 4


def test_codecs_of_a_split_are_those_that_can_pack_its_values(chain: Chain) -> None:
    """Picture codecs only where pictures are and nothing has run yet."""
    first = codecs_of(chain.plan, 0, pictures=True)
    assert set(picture_names()) < set(first)
    assert {"raw", "fp16", "q8"} <= set(first)
    assert set(picture_names()).isdisjoint(codecs_of(chain.plan, 1, pictures=True))
    assert set(picture_names()).isdisjoint(codecs_of(chain.plan, 0, pictures=False))
    assert len(first) == len(set(first))


def test_scores_before_the_softmax_tell_what_chance_did_to_these_frames(chain: Chain) -> None:
    """With them a codec has an expected agreement beside the one that was counted."""
    logits = linear_chain((3, 8, 8), (32,), (5,)).stages[1]
    last_stage = lambda live: np.asarray(logits.run(live)["y"], np.float64).reshape(-1)  # noqa: E731 - one line
    some = frames(12)
    exact, coarse = (measured(chain, some, 1, codec, last_stage=last_stage) for codec in ("raw", "q4"))
    assert exact["agreement_expected"] == 1.0
    assert 0.0 <= coarse["agreement_expected"] < 1.0
    assert "agreement_expected" not in measured(chain, some, 1, "q4")


MARGINS = st.lists(st.floats(0.01, 10), min_size=1, max_size=12)


@given(MARGINS, st.floats(0, 20))
def test_larger_moves_never_raise_the_expected_agreement(margins: list[float], move: float) -> None:
    """It is 1 where nothing moved, and 0.9 at the least where everything did: a fifth of the frames lies near."""
    right = [np.array([0.0, margin]) for margin in margins]
    shares = [
        expected_agreement(right, [one + np.array([0.0, step]) for one in right]) for step in (0.0, move, 2 * move)
    ]
    assert shares[0] == 1.0
    assert shares[2] <= shares[1] + 1e-12
    assert shares[2] >= 0.9 - 1e-12


def test_classes_are_those_of_the_value_that_the_plan_names(chain: Chain) -> None:
    """A plan that reads another kind of answer has none."""
    other = Chain(replace(chain.plan, output={**CLASSIFIES, "kind": "tensors"}), chain.stages)
    assert unsplit_answers(other, frames(2)).classes is None
