"""Which texts a source claims."""

import pytest

from partway.edge.sources.source import Source


@pytest.mark.parametrize(
    ("source", "text", "claimed"),
    [
        (Source(lambda *_: iter(()), prefix="tone:"), "tone:440", True),
        (Source(lambda *_: iter(()), prefix="tone:"), "tone", False),
        (Source(lambda *_: iter(()), prefix="-"), "-", True),
        (Source(lambda *_: iter(()), prefix="-"), "-picture.png", False),
        (Source(lambda *_: iter(()), suffixes=(".wav", ".flac")), "a/B.WAV", True),
        (Source(lambda *_: iter(()), suffixes=(".wav",)), "wav", False),
        (Source(lambda *_: iter(())), "", False),
        (Source(lambda *_: iter(())), "anything", False),
    ],
)
def test_a_source_claims_its_prefix_and_suffixes(source: Source, text: str, claimed: bool) -> None:
    """A prefix with a colon has something after it; one without is the whole text."""
    assert source.matches(text) is claimed
