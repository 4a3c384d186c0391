"""TFLite models read, sliced, changed and run, as the tests of their rooms do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from tests.support.tflite_nets import NETS, packed

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.plan.plan import Stage
from partway.partitioner.slicing import open_model

ENGINE = engine_for("litert", 1)
WHOLE = {name: make() for name, make in NETS.items()}


def read_and_slice(path: Path, out: Path) -> str | None:
    """What any user of a model does first; returns the sentence it is refused with, if it is."""
    try:
        model = open_model(path)
        cuts = [frontier.cut for frontier in legal_cuts(model.graph)]
        model.write_stages(cuts[:1], out)
    except InputError as error:
        return str(error)
    return None


def modified(change: Callable[[Any], Any], name: str = "chain") -> bytes:
    """A model with something done to its ``ModelT``."""
    model = tfl.ModelT.InitFromPackedBuf(WHOLE[name], 0)
    change(model)
    return packed(model)


def run_stages(stages: Sequence[Stage], folder: Path, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every value after running the stages one after another."""
    live = dict(values)
    for stage in stages:
        live.update(ENGINE.load((folder / stage.file).read_bytes()).run(live))
    return live
