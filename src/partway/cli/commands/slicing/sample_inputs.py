"""What ``--cuts auto`` measures a model on: inputs of ``--calibrate``, or generated ones made as the options say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partway.partitioner.cuts.samples import Sample
    from partway.partitioner.formats.model_metadata import Wishes
    from partway.partitioner.plan.model_format import SliceableModel
    from partway.partitioner.plan.preprocess import Preprocess

REAL = 4
"""Calibration inputs that bytes are measured on."""


def picture_of(source: SliceableModel, model: str, wishes: Wishes) -> Preprocess | None:
    """How a picture becomes the model's input; None where it takes no pictures."""
    from partway.partitioner.plan.preprocess import guess_preprocess
    from partway.partitioner.resolve import is_zoo_name
    from partway.partitioner.zoo.catalogue import ZOO

    if is_zoo_name(model):
        return ZOO[model].preprocess()
    guessed = guess_preprocess(source.graph.values[source.graph.inputs[0]]) if len(source.graph.inputs) == 1 else None
    if guessed is None or (wishes.mean, wishes.std, wishes.scale) == (None, None, None):
        return guessed
    mean, std = wishes.mean or (0.0,), wishes.std or (1.0,)
    widest = max(len(mean), len(std))
    mean, std = (values * widest if len(values) == 1 else values for values in (mean, std))
    return replace(guessed, mean=mean, std=std, scale=1 / 255 if wishes.scale is None else wishes.scale)


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
