"""Model formats that can be sliced, by suffix, found through entry points.

A device that slices nothing imports no code of a format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.plugins import Registry

if TYPE_CHECKING:
    from partway.partitioner.graph.graph import Graph

Sizes = Mapping[str, Sequence[int | None]]
"""The user's shapes of model inputs; ``None`` leaves a dimension as the model declares it."""


@dataclass(frozen=True, slots=True)
class SliceableModel:
    """A model of any format, read: its graph, its digest, the engine that runs it, and how to write its stages.

    ``trusting``: the engine does not check that the parts of a file fit, so stages need a trial first.
    ``write_watched`` writes one stage that makes the named values from the model's inputs, to measure them; None where
    a format cannot.
    """

    graph: Graph
    digest: str
    engine: str
    write_stages: Callable[[Sequence[Cut], Path], tuple[Stage, ...]]
    trusting: bool = False
    write_watched: Callable[[Sequence[str], Path], Stage] | None = None


ModelFormat = Callable[[Path, Sizes], SliceableModel]
"""What an entry of ``partway.formats`` is; its name is the suffix without the dot."""

FORMATS: Registry[ModelFormat] = Registry("partway.formats", "model format")

SLICERS: Registry[Callable[[Path, Path], Plan]] = Registry("partway.slicers", "slicer")
"""``file`` slices a model file into a folder and writes the plan there, for a run that is given a model file."""


def suffix_of(model: Path) -> str:
    """A file's suffix as ``FORMATS`` knows it: lower case, without the dot; empty where there is none."""
    return model.suffix.lower().removeprefix(".")


def is_model_file(model: str) -> bool:
    """Whether a name ends like a file of a format that can be sliced."""
    suffix = suffix_of(Path(model))
    return bool(suffix) and suffix in FORMATS
