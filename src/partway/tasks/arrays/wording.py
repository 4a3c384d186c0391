"""How results are written: lines for people, numbers for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

MOST_SCORES = 5
MOST_KINDS = 8
MOST_LETTERS = 60


def plain(text: str) -> str:
    """The text without characters that a terminal acts on: they are written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def short(text: str) -> str:
    """As ``plain``, cut at 60 letters."""
    return plain(text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…")


def label_of(labels: Sequence[str], index: int) -> str:
    """The class's name; its number where no name is known."""
    return labels[index] if 0 <= index < len(labels) else str(index)


def counted(found: Iterable[tuple[str, float]]) -> str:
    """``2 face 0.98 0.91, 1 dog 0.40`` of (label, score), the label of the best score first."""
    groups: dict[str, list[float]] = {}
    for label, score in sorted(found, key=lambda pair: -pair[1]):
        groups.setdefault(label, []).append(score)
    parts = [f"{len(scores)} {short(label)} {_scores(scores)}" for label, scores in groups.items()]
    more = len(parts) - MOST_KINDS
    return ", ".join(parts[:MOST_KINDS]) + (f", {more} more kinds" if more > 0 else "") or "nothing found"


def _scores(scores: list[float]) -> str:
    return " ".join(f"{score:.2f}" for score in scores[:MOST_SCORES]) + (" …" if len(scores) > MOST_SCORES else "")


def rounded(value: float, digits: int = 4) -> float | None:
    """For JSON: None for a value that is no number."""
    return round(float(value), digits) if isfinite(value) else None
