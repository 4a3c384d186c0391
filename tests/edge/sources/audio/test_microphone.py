"""Microphones: by a double of sounddevice, and by PortAudio itself where it is installed."""

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.audio import audio_plan, tone

from partway.edge.sources.audio.microphone import open_microphone
from partway.edge.sources.cameras import reopening
from partway.edge.sources.cameras.reopening import Unreachable
from partway.edge.sources.shipped import MICROPHONES
from partway.errors import InputError, MissingPackage

PLAN = audio_plan(("x", "float32", (None, 1600)))


class PortAudioError(Exception):
    """As sounddevice's."""


class SoundDevice:
    """A module in the place of sounddevice: one microphone with the rates that it can, which gives a tone."""

    PortAudioError = PortAudioError

    def __init__(self, *rates: int) -> None:
        self.rates, self.opened, self.blocks = rates, list[tuple[Any, int]](), 1000

    def query_devices(self, device: Any, kind: str) -> dict[str, float]:
        assert kind == "input"
        if not self.rates:
            raise PortAudioError(f"Error querying device {device}")
        return {"default_samplerate": float(self.rates[0])}

    def InputStream(self, rate_hz: int, *, device: Any, channels: int, dtype: str) -> "SoundDevice":  # noqa: N802
        assert (channels, dtype) == (1, "float32")
        if rate_hz not in self.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.opened.append((device, rate_hz))
        self.samplerate, self._at = float(rate_hz), 0
        return self

    def start(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End."""

    def read(self, count: int) -> tuple[Any, bool]:
        if not self.blocks:
            self.blocks = 1000
            raise PortAudioError("Device unavailable")
        self.blocks -= 1
        self._at += count
        return tone(int(self.samplerate), 10)[self._at - count : self._at, None], self._at > 5 * count


def double(monkeypatch: pytest.MonkeyPatch, *rates: int) -> SoundDevice:
    """The double, installed."""
    made = SoundDevice(*rates)
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    return made


@pytest.mark.parametrize(("text", "device"), [("mic:", None), ("mic:2", 2), ("mic:USB", "USB")])
def test_a_microphone_is_named_by_number_or_name(text: str, device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without either it is the default one."""
    module = double(monkeypatch, 16000)
    assert MICROPHONES.matches(text)
    (item,) = islice(open_microphone(text, PLAN, rate_hz=16000), 1)
    sample = item.read()
    assert (sample.name, sample.live) == (f"{text}[0]", True)
    assert sample.values is not None
    np.testing.assert_allclose(sample.values["x"][0], tone(16000, 0.1), atol=1e-6)
    assert module.opened == [(device, 16000)]


def test_a_device_of_another_rate_is_resampled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """USB microphones often know 48 kHz only. Lost samples are told, once."""
    module = double(monkeypatch, 48000)
    samples = [item.read() for item in islice(open_microphone("mic:0", PLAN), 8)]
    made = np.concatenate([sample.values["x"][0] for sample in samples if sample.values is not None])
    np.testing.assert_allclose(made[100:], tone(16000, 0.8)[100:], atol=1e-3)
    assert module.opened == [(0, 48000)]
    assert caplog.messages == [
        "mic:0: ears does not state its sample rate; 16000 Hz is a guess (give --rate HZ)",
        "mic:0: resampled from 48000 to 16000 Hz",
        "mic:0: samples are lost, because frames are answered too slowly",
    ]


def test_a_microphone_that_is_pulled_out_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a camera is."""
    monkeypatch.setattr(reopening, "FIRST_WAIT_S", 0.001)
    module = double(monkeypatch, 16000)
    module.blocks = 2
    names = [item.name for item in islice(open_microphone("mic:0", PLAN, rate_hz=16000), 4)]
    assert names == [f"mic:0[{index}]" for index in range(4)]
    assert [message.split(" after")[0] for message in caplog.messages] == ["mic:0 is lost", "mic:0 answers"]


def test_what_is_missing_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, the microphone, and a model of something else."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingPackage, match=r"mic:0 needs sounddevice: pip install 'partway\[audio\]'"):
        open_microphone("mic:0", PLAN, rate_hz=16000)
    double(monkeypatch)
    with pytest.raises(Unreachable, match=r"mic:0 cannot be opened \(Error querying device 0\)"):
        open_microphone("mic:0", PLAN, rate_hz=16000)
    with pytest.raises(InputError, match="no waveform"):
        open_microphone("mic:0", audio_plan(("x", "int8", (1, 1600))))


def test_portaudio_itself_records(tmp_path: Path) -> None:
    """ALSA plays a file in a microphone's place; PortAudio records it, in a process of its own."""
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError):
        pytest.skip("sounddevice or PortAudio is not installed: pip install 'partway[audio]'")
    tone(16000, 5).astype("<f4").tofile(tmp_path / "tone.raw")
    (tmp_path / "asound.conf").write_text(
        'pcm.!default { type file slave.pcm { type null } file "/dev/null" format raw'
        f' infile "{tmp_path}/tone.raw" }}'
    )
    program = """
import json
from itertools import islice
from tests.support.audio import audio_plan
from partway.edge.sources.audio.microphone import open_microphone
plan = audio_plan(("x", "float32", (None, 1600)))
items = islice(open_microphone("mic:", plan, rate_hz=16000), 3)
print(json.dumps([item.read().values["x"][0].tolist() for item in items]))
"""
    root = Path(__file__).parents[4]
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf"), "PYTHONPATH": str(root)}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    if "cannot be opened" in ran.stderr:
        pytest.skip("PortAudio is built without ALSA")
    heard = np.concatenate(json.loads(ran.stdout))
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.01)
    assert pytest.approx((np.diff(np.sign(heard)) != 0).sum(), abs=3) == 2 * 440 * 0.3
