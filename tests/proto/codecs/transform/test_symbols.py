"""Quantised coefficients as symbols and back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.proto.codecs.transform.symbols import SEGMENTS, SymbolCoder


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 40))
@settings(deadline=None)
def test_levels_come_back_from_their_groups(seed: int, scale: float) -> None:
    """Small and large ones, escaped or not."""
    rng = np.random.default_rng(seed)
    symbol_coder = SymbolCoder(rng.choice([*range(len(SEGMENTS)), 255], 200).astype(np.uint8))
    values = np.append(np.rint(rng.standard_normal(200) * scale).astype(np.float32), np.float32(0))
    levels = values.take(symbol_coder.order)
    symbols, escaped = symbol_coder.symbols(levels)
    assert np.array_equal(symbol_coder.levels(symbols, memoryview(escaped)), levels)
