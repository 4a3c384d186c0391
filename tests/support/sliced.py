"""Stage files of a model file, at given cuts."""

from collections.abc import Sequence
from pathlib import Path

from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.plan.plan import Stage
from partway.partitioner.slicing import open_model


def slice_file(model: Path, cuts: Sequence[Cut], out: Path) -> tuple[Stage, ...]:
    """The stages of a model of any format, written into ``out``."""
    return open_model(model).write_stages(cuts, out)
