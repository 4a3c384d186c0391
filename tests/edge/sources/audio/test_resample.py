"""The resampler: exact tones, no aliases, no seams."""

import numpy as np
import pytest
from tests.support.audio import tone

from partway.edge.sources.audio.resample import Resampler

RATES = [(44100, 16000), (8000, 16000), (48000, 16000), (16000, 44100), (11025, 16000), (16000, 8000), (22050, 22051)]


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_a_tone_stays_a_tone_in_blocks_of_any_size(rate_in: int, rate_out: int) -> None:
    """A second of 440 Hz is a second of 440 Hz, in its place, to within 0.01 %; blocks change nothing."""
    samples, resampler, rng = tone(rate_in, 1), Resampler(rate_in, rate_out), np.random.default_rng(0)
    parts, at = [], 0
    while at < len(samples):
        size = int(rng.integers(1, 3000))
        parts.append(resampler.feed(samples[at : at + size]))
        at += size
    made = np.concatenate([*parts, resampler.end()])
    whole = Resampler(rate_in, rate_out)
    np.testing.assert_array_equal(made, np.concatenate([whole.feed(samples), whole.end()]))
    assert len(made) == rate_out
    middle = slice(rate_out // 20, -rate_out // 20)
    np.testing.assert_allclose(made[middle], tone(rate_out, 1)[middle], atol=5e-5)


@pytest.mark.parametrize(("rate_in", "rate_out"), [rates for rates in RATES if rates[0] > rates[1] + 1000])
def test_what_the_lower_rate_cannot_hold_is_removed(rate_in: int, rate_out: int) -> None:
    """A tone 15 % above the new Nyquist frequency leaves less than a thousandth; one well below it stays."""
    above = Resampler(rate_in, rate_out).feed(tone(rate_in, 1, hz=rate_out / 2 * 1.15, loud=1.0))
    assert np.abs(above[500:-500]).max() < 1e-3
    below = Resampler(rate_in, rate_out).feed(tone(rate_in, 1, hz=rate_out / 2 * 0.8, loud=1.0))
    assert below[500:-500].std() * np.sqrt(2) > 0.98


def test_silence_and_nothing() -> None:
    """A constant stays one; no sample gives no sample."""
    resampler = Resampler(44100, 16000)
    assert len(resampler.feed(np.zeros(0, np.float32))) == 0
    made = resampler.feed(np.ones(44100, np.float32))
    np.testing.assert_allclose(made[100:], 1.0, atol=1e-5)
