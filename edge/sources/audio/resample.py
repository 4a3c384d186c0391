"""Changes the sample rate of a signal as it arrives, by band-limited interpolation with a windowed sinc.

Source: J. O. Smith, Digital Audio Resampling (https://ccrma.stanford.edu/~jos/resample/).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
CROSSINGS = 16
"""Zero crossings of the sinc on either side: more than 60 dB of suppression outside the transition band."""
ROLLOFF = 0.92
"""The edge of the pass band, as a share of the lower Nyquist frequency."""
KAISER_BETA = 9.0
AT_ONCE = 4096
"""Samples computed together, which bounds memory."""


class Resampler:
    """Turns float32 samples at ``rate_in`` Hz into samples at ``rate_out`` Hz, block by block, without delay or seams.

    The rates' ratio is exact; one filter is computed for each phase between two samples.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        divisor = math.gcd(rate_in, rate_out)
        self._up, self._down = rate_out // divisor, rate_in // divisor
        cutoff = min(1.0, rate_out / rate_in) * ROLLOFF
        self._half = math.ceil(CROSSINGS / cutoff)
        self._filters = _filters(self._up, self._half, cutoff)
        self._kept = np.zeros(self._half - 1, np.float32)  # silence before the first sample
        self._next = 0  # numerator of the next output's place among the kept samples, over ``up``

    def feed(self, samples: Array) -> Array:
        """The output samples that these input samples complete."""
        kept = np.concatenate([self._kept, samples.astype(np.float32, copy=False)])
        last = len(kept) - 2 * self._half  # the first sample of the last complete window
        places = self._next + self._down * np.arange(_outputs(self._next, last, self._up, self._down), dtype=np.int64)
        parts = [self._windows(kept, places[at : at + AT_ONCE]) for at in range(0, len(places), AT_ONCE)]
        self._next += self._down * len(places)
        used = min(self._next // self._up, len(kept))
        self._kept = kept[used:]
        self._next -= used * self._up
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def end(self) -> Array:
        """The last output samples, with silence behind the input."""
        return self.feed(np.zeros(self._half, np.float32))

    def _windows(self, kept: Array, places: Array) -> Array:
        firsts, phases = places // self._up, places % self._up
        windows = kept[firsts[:, None] + np.arange(2 * self._half)]
        return np.asarray(np.einsum("ij,ij->i", windows, self._filters[phases]), np.float32)


def _outputs(first: int, last_window: int, up: int, down: int) -> int:
    """How many outputs at ``first``, ``first + down``, … lie before the end of the last complete window."""
    return max(0, -(-((last_window + 1) * up - first) // down)) if last_window >= 0 else 0


def _filters(phases: int, half: int, cutoff: float) -> Array:
    """Taps [phases, 2 * half]; phase p is for a place p / phases of a sample behind tap ``half - 1``."""
    offsets = np.arange(1 - half, half + 1)[None, :] - np.arange(phases)[:, None] / phases
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (offsets / half) ** 2, 0, 1))) / np.i0(KAISER_BETA)
    taps = cutoff * np.sinc(cutoff * offsets) * window
    return np.asarray((taps / taps.sum(axis=1, keepdims=True)).astype(np.float32))
