"""A classifier's scores before its softmax, where small changes are visible.

An 8-bit softmax rounds all but the few likeliest classes to zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from partway.engines.interface import Engine
from partway.errors import InputError
from partway.partitioner.cuts.crossing import cut_from_names
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.model_file.model_format import is_model_file, usual_sizes
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import read_stage
from partway.partitioner.slicing import open_model, plan_model

Array = np.ndarray[Any, Any]
LastStage = Callable[[Mapping[str, Array]], Array]
"""From the values at the last cut to what the model answers, flat."""


def before_softmax(folder: Path, plan: Plan, engine: Engine) -> LastStage | None:
    """The last stage without its softmax; None when it has no softmax or cannot be cut before it."""
    stage = plan.stages_on(engine.name)[-1]
    if stage.data is not None or not stage.file or not is_model_file(stage.file):
        return None
    read_stage(folder, stage)
    try:
        source = open_model(folder / stage.file, usual_sizes(stage.inputs))
        value = _logits(source.graph)
        if value is None:
            return None
        with TemporaryDirectory() as scratch:
            first = plan_model(source, (cut_from_names(source.graph, (value,)),), Path(scratch), "logits").stages[0]
            loaded = engine.load((Path(scratch) / first.file).read_bytes())
    except InputError:
        return None
    return lambda live: np.asarray(loaded.run(live)[value], np.float64).reshape(-1)


def _logits(graph: Graph) -> str | None:
    """What the last softmax reads, where the model's only output is as large."""
    if len(graph.outputs) != 1:
        return None
    size = graph.values[graph.outputs[0]].elements()
    for operator in reversed(graph.operators):
        if operator.kind.lower() == "softmax":
            read = operator.inputs[0]
            same = read in graph.values and graph.values[read].elements() == size
            return read if same and read not in graph.inputs else None
    return None
