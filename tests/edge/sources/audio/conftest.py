"""Fixtures of the audio tests."""

from collections.abc import Iterator

import pytest

from partway.edge.sources.audio.waveform import tell


@pytest.fixture(autouse=True)
def told() -> Iterator[None]:
    """What was told in one test is told again in the next."""
    tell.cache_clear()
    yield
    tell.cache_clear()
