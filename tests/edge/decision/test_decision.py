"""The choice among estimates: what a split means, what is chosen, and its sentence."""

import re
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.affine import affine_chain

from partway.edge.decision.decision import Decision, make_decision, reason, restrict, split_number
from partway.errors import InputError
from partway.partitioner.decide.candidates import candidate_name
from partway.partitioner.decide.estimate import Candidate, Estimate, Link
from partway.partitioner.plan.plan import plan_to_json
from partway.partitioner.plan.plan_file import plan_from_json

PLAN = affine_chain().plan


@pytest.mark.parametrize(
    ("split", "k"),
    [("device", 3), ("cloud", 0), ("0", 0), ("2", 2), ("+1", 1), ("03", 3), ("x", 0), ("a", 1), ("b", 2), ("y", 3)],
)
def test_a_split_is_a_number_an_end_or_a_value(split: str, k: int) -> None:
    """Every way to name a split leads to its number."""
    assert split_number(split, PLAN) == k


@pytest.mark.parametrize("split", ["4", "-1", "999999999"])
def test_a_split_out_of_range_says_the_range(split: str) -> None:
    """The sentence names the first and the last split."""
    with pytest.raises(InputError, match=r"out of range; affine has splits 0 .* to 3"):
        split_number(split, PLAN)


@pytest.mark.parametrize(
    ("split", "meant"), [("devise", "device"), ("clowd", "cloud"), ("bb", "b"), ("Device", "device")]
)
def test_an_unknown_split_suggests_the_nearest(split: str, meant: str) -> None:
    """A slip of the finger is answered with what was meant, and with all there is."""
    with pytest.raises(InputError, match=f"did you mean {meant}.*Known: auto, device, cloud, x, a, b, y, or 0 to 3"):
        split_number(split, PLAN)


@given(st.text(max_size=12))
def test_any_text_is_a_split_or_a_sentence(split: str) -> None:
    """Superscripts, double signs and other digits end in no traceback."""
    with suppress(InputError):
        assert split_number(split, PLAN) in PLAN.splits


def test_a_cut_of_several_values_is_named_by_all_of_them() -> None:
    """Where two values cross, the cut's name is both, and neither alone means it."""
    data = plan_to_json(PLAN)
    data["cuts"][1] = ["a", "x"]
    plan = plan_from_json(data)
    assert split_number("a + x", plan) == 1
    with pytest.raises(InputError, match=re.escape("did you mean a + x")):
        split_number("a", plan)


def _estimates(*rows: tuple[int, str | None, float]) -> list[Estimate]:
    return [Estimate(Candidate(k, codec, 10 * (codec is not None)), prefix_s=s) for k, codec, s in rows]


ALL = _estimates((0, "raw", 0.03), (1, "raw", 0.02), (1, "fp16", 0.015), (2, "raw", 0.04), (3, None, 0.01))


@pytest.mark.parametrize(
    ("split", "expected"), [("auto", ALL), ("1", ALL[1:3]), ("b", ALL[3:4]), ("device", ALL[4:]), ("cloud", ALL[:1])]
)
def test_a_split_asked_for_leaves_its_candidates(split: str, expected: Sequence[Estimate]) -> None:
    """Auto leaves all; anything else the codecs of its split."""
    assert restrict(ALL, split, PLAN) == list(expected)


def test_a_split_without_a_codec_is_refused() -> None:
    """Where no codec is left for the split asked for, the sentence names the options that matter."""
    with pytest.raises(InputError, match=r"no codec is allowed for split 2; .*--codec .*--max-drop"):
        restrict(ALL[:2], "2", PLAN)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [(0, "raw", 0.03), (1, "raw", 0.0011), (3, None, 0.0004)],
            "do not split: all on the device: 400 µs against 1.10 ms for the best split (k = 1) on this link",
        ),
        (
            [(0, "jpeg75", 0.003), (1, "raw", 0.02), (2, "raw", 0.01), (3, None, 0.04)],
            "do not split: all in the cloud (jpeg75): 3.00 ms against 10.0 ms for the best split (k = 2) on this link",
        ),
        (
            [(0, "raw", 0.03), (1, "fp16", 0.02), (3, None, 0.04)],
            "split 1 at a (fp16): 20.0 ms against 30.0 ms all in the cloud",
        ),
        (
            [(0, "raw", 0.05), (2, "raw", 0.02), (3, None, 0.04)],
            "split 2 at b (raw): 20.0 ms against 40.0 ms all on the device",
        ),
        ([(1, "raw", 0.02), (2, "raw", 0.03)], "split 1 at a (raw): 20.0 ms against 30.0 ms for the next best"),
        (
            [(0, "raw", 0.05), (3, None, 0.04)],
            "all on the device: 40.0 ms against 50.0 ms for all in the cloud (raw)",
        ),
        ([(3, None, 0.04)], "all on the device: 40.0 ms; nothing else was allowed"),
        (
            [(3, "raw", 0.01), (0, "raw", 0.02)],
            "split 3 at y (raw): 10.0 ms against 20.0 ms for all in the cloud (raw)",
        ),
    ],
)
def test_the_reason_is_one_honest_sentence(rows: list[tuple[int, str | None, float]], expected: str) -> None:
    """What was chosen, what it takes, and against what; where splitting loses, it says not to split."""
    estimates = _estimates(*rows)
    chosen = min(estimates, key=lambda e: e.total_s)
    assert reason(chosen, estimates, PLAN) == expected


def test_what_was_asked_for_is_not_praised() -> None:
    """A split that was asked for is called that, however many codecs it was chosen from."""
    decision = make_decision(ALL, restrict(ALL, "1", PLAN), PLAN, None, False)
    assert decision.chosen is ALL[2]
    assert decision.reason == "split 1 at a (fp16), as requested"


def test_auto_gives_its_reason() -> None:
    """Left to choose, the decision says why."""
    decision = make_decision(ALL, ALL, PLAN, Link(1e6, 0.1), True)
    why = reason(ALL[4], ALL, PLAN)
    assert decision == Decision(tuple(ALL), ALL[4], why, Link(1e6, 0.1), True, runner_up=ALL[2])


@pytest.mark.parametrize("estimate", ALL)
def test_each_candidate_has_its_own_words(estimate: Estimate) -> None:
    """No two candidates are described alike."""
    words = [candidate_name(other.candidate, PLAN) for other in ALL]
    assert words.count(candidate_name(estimate.candidate, PLAN)) == 1
