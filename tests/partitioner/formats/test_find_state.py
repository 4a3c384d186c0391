"""Which outputs are inputs of the next frame: found only where names and shapes leave no doubt, else asked for."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.support.affine import affine_chain

from partway.errors import InputError
from partway.partitioner.formats.find_state import with_state
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.state import StateLink
from partway.proto.tensors import TensorSpec

Shape = tuple[int | None, ...]
WAVE, STATE = ("float32", (1, 512)), ("float32", (2, None, 128))


def plan_of(inputs: dict[str, tuple[str, Shape]], outputs: dict[str, tuple[str, Shape]]) -> Plan:
    """A plan with these inputs and outputs; nothing else of it counts here."""
    specs = {name: TensorSpec(name, *kind) for name, kind in {**inputs, **outputs}.items()}
    return replace(affine_chain().plan, inputs=tuple(inputs), outputs=tuple(outputs), tensors=specs)


def links(plan: Plan, given: Sequence[str] = ()) -> dict[str, str]:
    """Output by input."""
    return {link.input: link.output for link in with_state(plan, given).state}


@pytest.mark.parametrize(
    ("pairs", "others"),
    [
        ({"state": "stateN"}, {"input": WAVE, "sr": ("int64", ())}),  # Silero VAD 5
        ({"h": "hn", "c": "cn"}, {"input": WAVE}),  # Silero VAD 4
        ({"h0": "hn", "c0": "cn"}, {"x": WAVE}),
        ({"in_cache0": "out_cache0", "in_cache1": "out_cache1"}, {"speech": WAVE}),  # FSMN VAD
        ({"cached_len_0": "new_cached_len_0", "cached_len_1": "new_cached_len_1"}, {"x": WAVE}),  # Zipformer
        ({"r1i": "r1o", "r2i": "r2o"}, {"src": WAVE}),  # Robust Video Matting
        ({"state_in": "state_out"}, {"x": WAVE}),
        ({"input_states": "output_states"}, {"input": WAVE}),
        ({"prevHidden": "nextHidden"}, {"input": WAVE}),
    ],
)
def test_the_names_that_people_use_are_found(
    pairs: dict[str, str], others: dict[str, tuple[str, Shape]], caplog: pytest.LogCaptureFixture
) -> None:
    """What was found is a guess, and is told as one."""
    plan = plan_of({**others, **dict.fromkeys(pairs, STATE)}, {"output": WAVE, **dict.fromkeys(pairs.values(), STATE)})
    with caplog.at_level(logging.WARNING):
        assert links(plan) == pairs
    assert all(f"input {name}" in caplog.text and f"output {after}" in caplog.text for name, after in pairs.items())
    assert "--state none" in caplog.text


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"input": WAVE, "h0": STATE}, {"output": WAVE}),  # AEC-MOS: a first state, and none comes out
        ({"image": WAVE}, {"image_out": WAVE}),
        ({"image_in": WAVE, "mask": WAVE}, {"image_out": WAVE}),
        ({"state": STATE}, {"next_state": STATE}),  # nothing is left for a frame to bring
        ({"x": WAVE, "state": STATE}, {"stateN": ("float32", (2, None, 64))}),
        ({"x": WAVE, "state": STATE}, {"stateN": ("float16", (2, None, 128))}),
    ],
)
def test_without_such_a_pair_frames_are_independent(
    inputs: dict[str, tuple[str, Shape]], outputs: dict[str, tuple[str, Shape]]
) -> None:
    """Another shape or type, another word, or no output at all."""
    assert links(plan_of(inputs, outputs)) == {}


@pytest.mark.parametrize("outputs", [{"y": STATE}, {"state_out": STATE, "new_state": STATE}])
def test_where_the_output_is_not_clear_the_user_is_asked(outputs: dict[str, tuple[str, Shape]]) -> None:
    """With the options to choose from, none of them taken in silence."""
    plan = plan_of({"x": WAVE, "state": STATE}, outputs)
    with pytest.raises(InputError, match="--state none") as asked:
        links(plan)
    assert all(f"--state {output}=state" in str(asked.value) for output in outputs)


def test_the_user_decides() -> None:
    """A pair of any names; several; or none although there is one."""
    plan = plan_of({"x": WAVE, "a": STATE, "state": STATE}, {"y": WAVE, "b": STATE, "stateN": STATE})
    assert links(plan, ["b=a"]) == {"a": "b"}
    assert links(plan, ["b=a", "stateN=state"]) == {"a": "b", "state": "stateN"}
    assert links(plan, ["none"]) == {}


def test_names_may_hold_an_equals_sign() -> None:
    """Value names are any text."""
    plan = plan_of({"x": WAVE, "a=b": STATE}, {"y": WAVE, "c=d": STATE})
    assert links(plan, ["c=d=a=b"]) == {"a=b": "c=d"}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["state"], "is not OUTPUT=INPUT"),
        (["a=stateN"], "is not OUTPUT=INPUT"),
        (["y=state"], "one type and one shape"),
        (["stateN=state", "b=state"], "two outputs back to one input"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(given: list[str], fault: str) -> None:
    """It names the inputs and outputs of the model, or what differs."""
    plan = plan_of({"x": WAVE, "state": STATE}, {"y": WAVE, "b": STATE, "stateN": STATE})
    with pytest.raises(InputError, match=fault):
        links(plan, given)


def test_a_state_of_open_size_needs_a_shape() -> None:
    """Zeros of which size? One open size is the batch."""
    plan = plan_of({"x": WAVE, "cache": ("float32", (None, None, 4))}, {"y": WAVE, "cache_out": ("float32", (1, 2, 4))})
    with pytest.raises(InputError, match="--shape cache="):
        links(plan)


def test_state_that_the_file_itself_says_is_kept() -> None:
    """Found pairs come beside it."""
    own = StateLink("b", "a", b"1234")
    plan = plan_of({"x": WAVE, "a": STATE, "state": STATE}, {"y": WAVE, "b": STATE, "stateN": STATE})
    found = with_state(replace(plan, state=(own,)))
    assert found.state == (own, StateLink("stateN", "state"))
