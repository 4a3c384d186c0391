"""Model formats that can be sliced, by suffix, found through entry points.

A device that slices nothing imports no code of a format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.wishes import Wishes
from partway.plugins import Registry

if TYPE_CHECKING:
    from partway.partitioner.graph.graph import Graph

Sizes = Mapping[str, Sequence[int | None]]
"""The user's shapes of model inputs; ``None`` leaves a dimension as the model declares it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model file itself says of its pictures and answers; empty fields where it says nothing.

    ``input``: fields of Preprocess, the range in real numbers. ``task``: the name of one of Partway's tasks.
    ``metadata``: the file's own entries, as far as a task may read more in them. ``sizes``: shapes of open inputs.
    """

    input: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    task: str = ""
    sizes: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class SliceableModel:
    """A model of any format, read: its graph, its digest, the engine that runs it, and how to write its stages.

    ``trusting``: the engine does not check that the parts of a file fit, so stages need a trial first.
    """

    graph: Graph
    digest: str
    engine: str
    write_stages: Callable[[Sequence[Cut], Path], tuple[Stage, ...]]
    trusting: bool = False
    facts: Facts = NO_FACTS


ModelFormat = Callable[[Path, Sizes], SliceableModel]
"""What an entry of ``partway.formats`` is; its name is the suffix without the dot."""

FORMATS: Registry[ModelFormat] = Registry("partway.formats", "model format")

SLICERS: Registry[Callable[[Path, Path, Wishes], Plan]] = Registry("partway.slicers", "slicer")
"""``file`` slices a model file into a folder and writes the plan there, for a run that is given a model file.

The wishes are what the user says of the file.
"""


def suffix_of(model: Path) -> str:
    """A file's suffix as ``FORMATS`` knows it: lower case, without the dot; empty where there is none."""
    return model.suffix.lower().removeprefix(".")


def is_model_file(model: str) -> bool:
    """Whether a name ends like a file of a format that can be sliced."""
    suffix = suffix_of(Path(model))
    return bool(suffix) and suffix in FORMATS
