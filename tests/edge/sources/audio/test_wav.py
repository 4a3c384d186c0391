"""Recordings as inputs: frames, rates, channels, and what is told."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.audio import audio_plan, tone, write_wav
from tests.support.mnist_plans import PICTURES

from partway.edge.sources.audio.wav import open_wav
from partway.edge.sources.open_inputs import open_inputs
from partway.edge.sources.registry import source_of
from partway.edge.sources.shipped import WAV_FILES
from partway.edge.sources.source import SourceSettings
from partway.errors import InputError

PLAN = audio_plan(("x", "float32", (None, 1600)))


def test_the_frames_of_a_recording_are_those_of_its_samples(tmp_path: Path) -> None:
    """At the model's rate with one channel nothing is changed and nothing told."""
    samples = tone(16000, 0.3)
    path = write_wav(tmp_path / "a.wav", samples, kind=3, bits=32)
    read = [item.read() for item in open_wav(str(path), PLAN, rate_hz=16000)]
    assert [sample.name for sample in read] == ["a.wav[0]", "a.wav[1]", "a.wav[2]"]
    values = [sample.values["x"] for sample in read if sample.values is not None]
    assert {value.shape for value in values} == {(1, 1600)}
    np.testing.assert_allclose(np.concatenate(values, axis=None), samples, atol=1e-7)


def test_rates_and_channels_are_changed_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two channels at 44.1 kHz become one at 16 kHz; a last frame that is not full is padded."""
    path = write_wav(tmp_path / "a.wav", np.stack([tone(44100, 0.35), np.zeros(15435)], 1), 44100)
    read = [item.read() for item in open_wav(str(path), PLAN, rate_hz=16000)]
    made = np.concatenate([sample.values["x"] for sample in read if sample.values is not None], axis=None)
    assert len(made) == 4 * 1600
    np.testing.assert_allclose(made[100:5500], tone(16000, 0.35, loud=0.25)[100:5500], atol=1e-3)
    assert (made[5600:] == 0).all()
    assert caplog.messages == [
        "a.wav: 2 channels are mixed down to one",
        "a.wav: resampled from 44100 to 16000 Hz",
        "a.wav: its last frame has 800 samples; 800 of silence were added",
    ]


def test_options_reach_the_recording_and_rounds_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``--frames`` reads it again and again."""
    path = write_wav(tmp_path / "A.WAV", tone(16000, 0.15))
    assert source_of(str(path)) is WAV_FILES
    frames = open_inputs([str(path)], PLAN, SourceSettings(hop=(800, 0), rate_hz=16000))
    assert not frames.live
    assert len([item.read() for item in frames.take(7)]) == 7
    assert caplog.messages == []


def test_without_audio_its_options_are_a_mistake() -> None:
    """They would be ignored silently."""
    for settings, flag in ((SourceSettings(hop=(5, 0)), "--hop"), (SourceSettings(rate_hz=8000), "--rate")):
        with pytest.raises(
            InputError, match=rf"{flag} describes audio; give --input FILE\.wav or --input mic:0 as well"
        ):
            open_inputs([], PICTURES, settings)


def test_a_recording_without_a_sample_is_a_sentence(tmp_path: Path) -> None:
    """Its only item says so."""
    path = write_wav(tmp_path / "a.wav", np.zeros(0))
    (only,) = open_wav(str(path), PLAN, rate_hz=16000)
    with pytest.raises(InputError, match="holds no sample"):
        only.read()
