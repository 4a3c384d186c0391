"""What ``--cuts auto`` measures a model on: inputs of ``--calibrate``, or generated ones made as the options say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partway.partitioner.cuts.samples import Sample
    from partway.partitioner.plan.model_file.model_format import SliceableModel
    from partway.partitioner.plan.model_file.wishes import Wishes
    from partway.partitioner.plan.preprocess import Preprocess

REAL = 4
"""Calibration inputs that bytes are measured on."""


def picture_of(source: SliceableModel, model: str, wishes: Wishes | None = None) -> Preprocess | None:
    """How a picture becomes the model's input; None where it takes no pictures."""
    from partway.partitioner import slicing
    from partway.partitioner.plan.model_file.wishes import NO_WISHES
    from partway.partitioner.resolve import is_zoo_name
    from partway.partitioner.zoo.catalogue import ZOO

    return ZOO[model].preprocess() if is_zoo_name(model) else slicing.picture_of(source, wishes or NO_WISHES)


def real_samples(source: SliceableModel, preprocess: Preprocess | None, folder: Path | None) -> list[Sample]:
    """A few of the inputs of ``--calibrate``, none without it. Raises InputError naming what is wrong with them."""
    from partway.partitioner.calibrate.inputs import read_frames
    from partway.partitioner.cuts.crossing import input_cut, output_cut
    from partway.partitioner.cuts.samples import Sample
    from partway.partitioner.plan.plan import Plan

    if folder is None:
        return []
    graph = source.graph
    named = {name: graph.values[name] for name in (*graph.inputs, *graph.outputs)}
    described = preprocess.to_json() if preprocess is not None else {}
    cuts = (input_cut(graph), output_cut(graph))
    bare = Plan("", source.digest, source.engine, (), cuts, named, graph.inputs, graph.outputs, input=described)
    return [Sample(frame.values, frame.pixels) for frame in read_frames(folder, bare, REAL)]
