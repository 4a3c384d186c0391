"""Model formats that can be sliced, by suffix, found through entry points.

A device that slices nothing imports no code of a format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.model_file.wishes import Wishes
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.state import StateLink
from partway.plugins import Registry
from partway.proto.tensors import TensorSpec

if TYPE_CHECKING:
    from partway.partitioner.graph.graph import Graph

Array = np.ndarray[Any, Any]
Sizes = Mapping[str, Sequence[int | None]]
"""The user's shapes of model inputs; ``None`` leaves a dimension as the model declares it."""


class Given(dict[str, Sequence[int | None]]):
    """The user's shapes, and ``examples``: values of inputs that random ones cannot stand for."""

    def __init__(self, sizes: Sizes, examples: Mapping[str, Array]) -> None:
        super().__init__({**{name: array.shape for name, array in examples.items()}, **sizes})
        self.examples = dict(examples)


def examples_of(sizes: Sizes) -> Mapping[str, Array]:
    """The examples that came with the shapes."""
    return sizes.examples if isinstance(sizes, Given) else {}


def usual_sizes(specs: Sequence[TensorSpec]) -> Sizes:
    """The shapes to give for the inputs of a stage file, which knows no usual sizes of its own."""
    return {spec.name: spec.usual for spec in specs if spec.usual is not None}


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
    ``state``: the outputs that the file itself says are inputs of the next frame.
    ``write_watched`` writes one stage that makes the named values from the model's inputs, to measure them; None where
    a format cannot.
    """

    graph: Graph
    digest: str
    engine: str
    write_stages: Callable[[Sequence[Cut], Path], tuple[Stage, ...]]
    trusting: bool = False
    state: tuple[StateLink, ...] = ()
    facts: Facts = NO_FACTS
    write_watched: Callable[[Sequence[str], Path], Stage] | None = None


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
