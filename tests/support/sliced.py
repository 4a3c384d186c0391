"""Model files of any format cut into stage files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.plan.plan import Stage
from partway.partitioner.slicing import open_model


def sliced(model: Path, cuts: Sequence[Cut], out: Path) -> tuple[Stage, ...]:
    """The stages of a model file at these inner cuts, written into ``out``."""
    return open_model(model).write_stages(cuts, out)
