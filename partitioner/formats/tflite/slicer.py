"""Slice a TFLite model at nested cuts: one valid file per stage, every weight in the stage that uses it.

A stage's tensors, buffers, operator kinds and subgraphs are renumbered; quantization, sparsity and shape signatures go
with their tensors. Metadata is copied only if it holds for a part of the model. Signatures are dropped: they name the
model's inputs and outputs, while a stage's are named by its values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from partway.partitioner.cuts.stages import makers, stages_between
from partway.partitioner.formats.tflite.metadata import facts_of
from partway.partitioner.formats.tflite.reader import ParsedTfliteModel, open_tflite
from partway.partitioner.formats.tflite.stage_builder import stage_model
from partway.partitioner.formats.tflite.writer import write_model
from partway.partitioner.graph.graph import OperatorSet, members
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.model_file.model_format import Sizes, SliceableModel
from partway.partitioner.plan.plan import Stage


def sliceable(path: Path, sizes: Sizes) -> SliceableModel:
    """The model in a ``.tflite`` file, read for slicing. Raises :class:`InputError` for what is wrong with the file."""
    model = open_tflite(path, sizes)
    return SliceableModel(
        model.graph,
        model.file.digest,
        "litert",
        lambda cuts, out: slice_model(model, cuts, out),
        trusting=True,
        state=model.state,
        facts=facts_of(model.file),
        write_watched=lambda names, out: _watched(model, names, out),
    )


def _watched(model: ParsedTfliteModel, names: Sequence[str], out: Path) -> Stage:
    """What makes these values, in ``watched.tflite``."""
    graph = model.graph
    return _write_stage(model, makers(graph, names), graph.inputs, tuple(names), out / "watched.tflite")


def slice_model(model: ParsedTfliteModel, cuts: Sequence[Cut], out: Path) -> tuple[Stage, ...]:
    """Write ``stage0.tflite`` … into ``out``: one stage more than there are inner ``cuts``, which must be nested.

    Stage inputs and outputs keep the model's own names. The same model and cuts give the same bytes each time.
    Raises :class:`InputError` when a cut does not separate the model or the cuts are not nested.
    """
    out.mkdir(parents=True, exist_ok=True)
    return tuple(
        _write_stage(model, operators, inputs, outputs, out / f"stage{index}.tflite")
        for index, (operators, inputs, outputs) in enumerate(stages_between(model.graph, cuts))
    )


def _write_stage(
    model: ParsedTfliteModel, operators: OperatorSet, inputs: Sequence[str], outputs: Sequence[str], path: Path
) -> Stage:
    places = [model.parts.places[index] for index in members(operators)]
    tensors = {name: index for index, name in enumerate(model.parts.names)}
    stage = stage_model(model.parts, places, [tensors[name] for name in inputs], [tensors[name] for name in outputs])
    digest, size_bytes = write_model(stage, path)
    read, produced = (tuple(model.graph.values[name] for name in names) for names in (inputs, outputs))
    return Stage(path.name, digest, size_bytes, read, produced, operators=len(places))
