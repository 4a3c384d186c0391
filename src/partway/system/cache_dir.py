"""The folder for this user's downloads and plans."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path | None:
    """``$XDG_CACHE_HOME/partway``, usually ``~/.cache/partway``; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "partway"
    except RuntimeError:
        return None
