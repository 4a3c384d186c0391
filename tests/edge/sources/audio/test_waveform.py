"""Which input takes the samples, and how audio is cut into frames."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.audio import audio_plan
from tests.support.mnist_plans import PICTURES

from partway.edge.sources.audio.waveform import Waveform, parse_hop, sample_rate, waveform_of
from partway.errors import InputError
from partway.proto.tensors import TensorSpec

STATE, RATE = ("state", "float32", (2, None, 128)), ("sr", "int64", ())


@pytest.mark.parametrize(("text", "hop"), [("512", (512, 0)), ("512+64", (512, 64)), ("1+0", (1, 0))])
def test_hops_are_read(text: str, hop: tuple[int, int]) -> None:
    """New samples, and those repeated from before."""
    assert parse_hop(text) == hop


@pytest.mark.parametrize("text", ["", "0", "0+5", "-1", "a", "1+", "+1", "1.5", "99999999"])
def test_what_is_no_hop_is_a_sentence(text: str) -> None:
    """With an example."""
    with pytest.raises(InputError, match=r"--hop .* for example 512 or 512\+64"):
        parse_hop(text)


@pytest.mark.parametrize(
    ("inputs", "hop", "expected"),
    [
        ([("x", "float32", (None, 1600))], None, ("x", 1600, 0)),
        ([("x", "float32", (1, 1, 1600))], None, ("x", 1600, 0)),
        ([("x", "float32", (15600,))], None, ("x", 15600, 0)),
        ([("x", "float16", (None, 1600))], (1200, 0), ("x", 1200, 400)),
        ([("x", "float32", (None, 1600))], (1200, 400), ("x", 1200, 400)),
        ([("input", "float32", (None, None)), STATE, RATE], (512, 64), ("input", 512, 64)),
        ([("left", "float32", (1, 400)), ("audio", "float32", (1, 400))], None, ("audio", 400, 0)),
        ([("pcm", "int16", (1, 400))], None, ("pcm", 400, 0)),
    ],
)
def test_the_waveform_input_is_found(inputs: Any, hop: Any, expected: tuple[str, int, int]) -> None:
    """The only input of one channel of samples; of several, the one whose name says audio. Its size is the frame's."""
    examples = {name: {"shape": [size or 1 for size in shape], "numbers": [0]} for name, _, shape in inputs}
    found = waveform_of(replace(audio_plan(*inputs), examples=examples), "a.wav", hop)
    assert (found.spec.name, found.hop, found.before) == expected


@pytest.mark.parametrize(
    ("inputs", "hop", "says"),
    [
        (
            [("x", "float32", (None, None)), STATE],
            None,
            r"takes any number of samples as x; give --hop SAMPLES for a\.wav",
        ),
        ([("x", "float32", (None, 1600))], (1601, 0), "takes 1600 samples a frame as x; give --hop of at most 1600"),
        ([("x", "float32", (None, 1600))], (800, 100), "takes 1600 samples"),
        ([("mfcc", "float32", (1, 49, 10, 1))], None, r"no waveform \(mfcc float32 \[1, 49, 10, 1\]\)"),
        ([("mfcc", "float32", (1, 40))], None, "no waveform"),
        ([("x", "float32", (1, 2, 1600))], None, "no waveform"),
        ([("x", "int8", (1, 1600))], None, "no waveform"),
        ([STATE, RATE], None, "no waveform"),
        ([("a", "float32", (1, 400)), ("b", "float32", (1, 400))], None, r"several inputs that may be audio \(a, b\)"),
    ],
)
def test_a_model_of_something_else_is_a_sentence(inputs: Any, hop: Any, says: str) -> None:
    """Features, two channels, 8-bit inputs and open sizes."""
    with pytest.raises(InputError, match=says):
        waveform_of(audio_plan(*inputs), "a.wav", hop)


def test_quantised_samples_and_pictures_are_refused() -> None:
    """What its integers mean is not known to be sound; a model of pictures hears nothing."""
    with pytest.raises(InputError, match="no waveform"):
        waveform_of(audio_plan(("x", "int16", (1, 1600)), quantized=True), "a.wav", None)
    with pytest.raises(InputError, match=r"takes pictures; give a picture instead of a\.wav"):
        waveform_of(PICTURES, "a.wav", None)


@given(st.integers(1, 40), st.integers(0, 30), st.lists(st.integers(0, 70), max_size=6))
def test_every_sample_is_in_a_frame_once_as_new(hop: int, before: int, sizes: list[int]) -> None:
    """Blocks of any size give the frames of the whole: the past repeated, silence at both ends."""
    waveform = Waveform(TensorSpec("x", "float32", (None, None)), hop, before)
    samples = np.arange(1, sum(sizes) + 1, dtype=np.float32)
    frames = list(waveform.frames(np.split(samples, np.cumsum(sizes)[:-1]) if sizes else [], "a.wav"))
    assert len(frames) == -(-len(samples) // hop)
    padded = np.concatenate([np.zeros(before), samples, np.zeros(hop)])
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, padded[index * hop : index * hop + before + hop])


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("float32", (None, 4), [[0, 0.5, -1, 1]]),
        ("int16", (4,), [0, 16384, -32768, 32767]),
        ("float16", (1, 1, 4), [[[0, 0.5, -1, 1]]]),
    ],
)
def test_samples_become_the_inputs_type_and_shape(dtype: str, shape: Any, expected: Any) -> None:
    """Floats as they are, 16-bit integers at full scale."""
    made = Waveform(TensorSpec("x", dtype, shape), 4, 0).tensor(np.array([0, 0.5, -1, 1], np.float32))
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, expected)


def test_the_rate_is_the_options_the_plans_or_a_guess(caplog: pytest.LogCaptureFixture) -> None:
    """Only the guess is told, once."""
    wave, rate = ("x", "float32", (None, 400)), ("sr", "int64", ())
    stating = replace(audio_plan(wave, rate), examples={"sr": {"shape": [], "numbers": [8000]}})
    assert sample_rate(stating, 16000, "a.wav", 44100) == 16000
    assert sample_rate(stating, None, "a.wav", 44100) == 8000
    assert caplog.messages == []
    assert [sample_rate(audio_plan(wave), None, "a.wav", 44100) for _ in range(2)] == [44100] * 2
    assert caplog.messages == ["a.wav: ears does not state its sample rate; 44100 Hz is a guess (give --rate HZ)"]


def test_other_inputs_have_the_plans_examples() -> None:
    """A frame has all inputs; an input without an example is named."""
    plan = audio_plan(("x", "float32", (None, 400)), ("gain", "float32", (1,)))
    with pytest.raises(InputError, match=r"a.wav gives x, and ears also needs gain; .* --example gain=VALUE"):
        waveform_of(plan, "a.wav", None)
    whole = waveform_of(replace(plan, examples={"gain": {"shape": [1], "numbers": [2.5]}}), "a.wav", None)
    made = whole.inputs(np.zeros(400, np.float32))
    assert {name: array.shape for name, array in made.items()} == {"x": (1, 400), "gain": (1,)}
    assert made["gain"].tolist() == [2.5]
