"""From a model file to a plan: read it by its format, pick cuts, slice it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from partway.engines.interface import OutOfMemory
from partway.engines.registry import engine_for
from partway.engines.sandbox import try_stages
from partway.errors import InputError, MissingPackage
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.chain import MOST, useful_cuts
from partway.partitioner.cuts.costs import Costs, estimated_costs
from partway.partitioner.cuts.crossing import cut_from_names, input_cut, output_cut
from partway.partitioner.cuts.measured import measured_costs
from partway.partitioner.cuts.samples import Sample, sample_attempts
from partway.partitioner.formats.find_state import with_state
from partway.partitioner.formats.model_metadata import described
from partway.partitioner.formats.picture_input import picture_entry
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.inputs import examples_to_json
from partway.partitioner.plan.model_file.model_format import FORMATS, Given, Sizes, SliceableModel, suffix_of
from partway.partitioner.plan.model_file.wishes import NO_WISHES, Wishes
from partway.partitioner.plan.model_file.wrong_model import what_it_is
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.plan_file import PLAN_FILE, save_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto.tensors import TensorSpec
from partway.units import encodable, is_short_for

log = logging.getLogger("partway.partitioner")
Array = np.ndarray[Any, Any]


class NoCutError(InputError):
    """No cut separates the model: it can run on one side only."""


def open_model(path: Path, sizes: Sizes | None = None) -> SliceableModel:
    """Read a model by its suffix: ``.onnx``, ``.tflite``, or one that an installed package adds.

    ``sizes`` gives shapes to inputs with dynamic dimensions.

    Raises :class:`InputError` for an unknown suffix, a missing optional package or whatever is wrong with the file.
    """
    if advice := what_it_is(path):
        raise InputError(f"{path} is {advice}")
    if (path / PLAN_FILE).is_file() or path.name == PLAN_FILE:
        raise InputError(f"{path} is a plan, which is sliced already; give the model file that it was made of")
    suffix = suffix_of(path)
    if not suffix or suffix not in FORMATS:
        readable = ", ".join(f".{name}" for name in FORMATS.names())
        missing = "" if path.exists() else "there is no such file, and "
        raise InputError(f"cannot slice {path}: {missing}Partway reads {readable} models")
    return FORMATS.get(suffix)(path, sizes or {})


def read_graph(path: Path, sizes: Sizes | None = None) -> Graph:
    """The graph of a model of any format."""
    return open_model(path, sizes).graph


def make_plan(
    model: Path,
    out: Path,
    cuts: str | Sequence[str] = "auto",
    *,
    name: str | None = None,
    input: Mapping[str, Any] | None = None,
    output: Mapping[str, Any] | None = None,
    sizes: Sizes | None = None,
    limit: int = MOST,
    examples: Mapping[str, Array] | None = None,
    state: Sequence[str] = (),
) -> Plan:
    """Slice a model into stage files in ``out`` and describe them.

    ``cuts`` is ``"auto"`` (at most ``limit`` useful ones), ``"none"`` (one stage, the whole model) or the inner cuts by
    name in order from input to output, one string each: a value, or several joined by ``+``; with ``"auto"`` among
    them, those and useful ones. ``input`` and
    ``output`` go into the plan as they are; ``examples`` are legal values of inputs, and ``state``
    names outputs that are inputs of the next frame, ``OUT=IN``. Does not write the plan itself.
    Raises :class:`InputError` when the model or a cut is no good.
    """
    source = open_model(model, Given(sizes or {}, examples or {}))
    chosen = cuts_for(source, cuts, limit, examples=examples)
    plan = plan_model(source, chosen, out, encodable(name or model.stem), examples, state)
    return replace(plan, input=dict(input or {}), output=dict(output or {}))


def slice_file(model: Path, out: Path, wishes: Wishes = NO_WISHES) -> Plan:
    """Slice a model file into ``out`` at its useful cuts, or as one stage, and write the plan there.

    ``wishes`` say what the file does not. Raises :class:`InputError` when the model or a wish is no good.
    """
    source = open_model(model, wishes.sizes)
    try:
        chosen = cuts_for(source, preprocess=picture_of(source, wishes))
    except NoCutError:
        log.warning("no cut separates %s; it runs unsplit, on one side", model)
        chosen = ()
    plan = plan_model(source, chosen, out, encodable(model.stem))
    plan = described(plan, load_folder(out, plan, engine_for(plan.engine)), wishes, source.facts)
    save_plan(plan, out)
    return plan


def plan_model(
    source: SliceableModel,
    chosen: Sequence[Cut],
    out: Path,
    name: str,
    examples: Mapping[str, Array] | None = None,
    state: Sequence[str] = (),
) -> Plan:
    """Like ``make_plan``, for a model already read and cuts already chosen; the plan has no input or output entry."""
    graph = source.graph
    kept = examples_to_json(examples or {}, [graph.values[value] for value in graph.inputs])
    stages = source.write_stages(chosen, out)
    all_cuts = (input_cut(graph), *chosen, output_cut(graph))
    named = dict.fromkeys(value for cut in all_cuts for value in cut.values)
    tensors = {value: graph.values[value] for value in named}
    if source.trusting:
        shapes = try_stages(source.engine, [out / stage.file for stage in stages], name)
        tensors = {value: with_shape(spec, shapes.get(value)) for value, spec in tensors.items()}
        stages = tuple(_described_as(stage, tensors) for stage in stages)
    plan = Plan(
        model=name,
        model_digest=source.digest,
        engine=source.engine,
        stages=stages,
        cuts=all_cuts,
        tensors=tensors,
        inputs=graph.inputs,
        outputs=graph.outputs,
        examples=kept,
        state=source.state,
    )
    return with_state(plan, state)


def with_shape(spec: TensorSpec, seen: Sequence[int] | None) -> TensorSpec:
    """The description of a value after a run: open in every dimension if it had another shape than the file says."""
    if seen is None or spec.accepts(tuple(seen), spec.dtype):
        return spec
    return replace(spec, shape=(None,) * len(seen), usual=tuple(seen))


def _described_as(stage: Stage, tensors: Mapping[str, TensorSpec]) -> Stage:
    inputs, outputs = (tuple(tensors[spec.name] for spec in specs) for specs in (stage.inputs, stage.outputs))
    return replace(stage, inputs=inputs, outputs=outputs)


def cuts_for(
    source: SliceableModel,
    cuts: str | Sequence[str] = "auto",
    limit: int = MOST,
    preprocess: Preprocess | None = None,
    samples: Sequence[Sample] = (),
    examples: Mapping[str, Array] | None = None,
) -> tuple[Cut, ...]:
    """The inner cuts of a model: like :func:`choose_cuts`, useful ones by costs that are measured here."""
    names = cuts.split(",") if isinstance(cuts, str) else list(cuts)
    costs = costs_here(source, preprocess, samples, examples) if "auto" in names else None
    return choose_cuts(source.graph, names, costs, limit)


def picture_of(source: SliceableModel, wishes: Wishes = NO_WISHES) -> Preprocess | None:
    """How a picture becomes the model's input; None where it takes no pictures. Raises InputError for wrong wishes."""
    state = {link.input for link in source.state}
    specs = [source.graph.values[name] for name in source.graph.inputs if name not in state]
    if len(specs) != 1:  # some may turn out to be state, of which only the plan knows
        return None
    return Preprocess.from_json(picture_entry(specs, wishes, source.facts)[0])


def costs_here(
    source: SliceableModel,
    preprocess: Preprocess | None = None,
    samples: Sequence[Sample] = (),
    examples: Mapping[str, Array] | None = None,
) -> Costs:
    """The costs of a model's values and operators on this machine, measured on real ``samples`` or on generated ones.

    ``preprocess`` makes generated pictures an input; ``examples`` are legal values of inputs. Where the model does not
    run on any of them, costs are estimated,
    and a warning says so.
    """
    real = [(list(samples), f"{len(samples)} of the given inputs")] if samples else []
    reason: Exception | None = None
    try:
        engine = engine_for(source.engine)
        _try_whole(source)
        for some, what in (*real, *sample_attempts(source.graph, preprocess, examples)):
            try:
                return measured_costs(source, engine, some, what)
            except (InputError, OutOfMemory) as error:
                reason = error
    except (InputError, MissingPackage) as error:
        reason = error
    log.warning("cuts are chosen by estimates, because the model does not run on generated inputs (%s)", reason)
    return estimated_costs(source.graph)


def _try_whole(source: SliceableModel) -> None:
    """Run a model whose engine does not check files in a process of its own first. Raises InputError if that ends."""
    if source.trusting:
        with tempfile.TemporaryDirectory(prefix="partway-") as folder:
            stages = source.write_stages((), Path(folder))
            try_stages(source.engine, [Path(folder) / stage.file for stage in stages], "the model")


def choose_cuts(
    graph: Graph, cuts: str | Sequence[str] = "auto", costs: Costs | None = None, limit: int = MOST
) -> tuple[Cut, ...]:
    """The inner cuts of a chain: useful ones, or those named, or none. ``costs`` are estimated if None.

    Raises :class:`NoCutError` when useful ones are asked for and there are none at all.
    """
    names = cuts.split(",") if isinstance(cuts, str) else list(cuts)
    if names == ["none"] and "none" not in graph.activations:
        return ()
    named = tuple(cut_from_names(graph, value_names(graph, one)) for one in names if one != "auto")
    if "auto" not in names:
        return named
    if not named and not legal_cuts(graph):
        raise NoCutError("no cut separates this model's inputs from its outputs; give --cuts none to run it whole")
    useful = useful_cuts(graph, costs, limit, also=named)
    if not useful:
        log.warning("no cut of this model pays in any situation; it stays one stage (`partway cuts` tells more)")
    return useful


def value_names(graph: Graph, written: str) -> tuple[str, ...]:
    """The values of a cut as people write it: one name, or several joined by ``+``.

    In a joined name (``relu;bias;conv``, as converters name fused operators) one unique part suffices, and so does the
    short form of a long name, as tables show it.
    """
    names = set(graph.activations)
    if not all(part.strip() for part in written.split("+")) and written.strip() not in names:
        raise InputError("--cuts has an empty name; give names of values, a comma between cuts, + within one")
    if written.strip() in names:
        return (written.strip(),)
    return tuple(_full_name(graph, part.strip()) for part in written.split("+"))


def _full_name(graph: Graph, written: str) -> str:
    """The full name of a value: TFLite joins the names of fused operators with ``;``, and one unique part suffices."""
    found = [name for name in graph.activations if written in name.split(";") or is_short_for(written, name)]
    return found[0] if len(found) == 1 else written
