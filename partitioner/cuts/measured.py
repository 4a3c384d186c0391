"""Measure what cuts are chosen by: run the whole model once, code its values, and time its operators."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from partway.engines.interface import Engine, LoadedStage, TakesData, TimesOperators
from partway.partitioner.cuts.candidates import Frontier, legal_cuts
from partway.partitioner.cuts.costs import CODING_S, LEVELS, PICTURES, Costs, estimated_costs
from partway.partitioner.cuts.samples import Sample
from partway.partitioner.graph.fusion import breaks_fusion
from partway.partitioner.graph.graph import Graph, members
from partway.partitioner.plan.model_file.model_format import SliceableModel
from partway.partitioner.plan.plan import Stage
from partway.partitioner.plan.plan_file import read_stage
from partway.partitioner.plan.stage_files import open_data
from partway.proto.codecs.image import encode_image
from partway.proto.codecs.packing import pack
from partway.proto.tensors import Values

Array = np.ndarray[Any, Any]
MOST_RUNS, BUDGET_S = 16, 1.5
PIECES = 10
MOST_PROFILED_BYTES = 150 << 20
"""Weights of a model that is profiled as a whole; the profiler copies larger ones for too long."""
SMALL_BYTES, SMALL_SHARE = 1 << 15, 0.02
"""Values below both are not measured: no choice hangs on them, and the last ones need all weights to be loaded."""
MANY = 3.0
AT_ONCE_BYTES = 192 << 20
"""Values kept from one run; more are measured in several."""
INTEGERS = ("zstd", "zstd", "s4", "s16")
"""How 8-bit integers are coded at each level."""


def measured_costs(source: SliceableModel, engine: Engine, samples: Sequence[Sample], what: str) -> Costs:
    """The costs of a model's values and operators on this machine.

    ``what`` names the samples for people. What cannot be measured stays estimated, and the costs say so: coded bytes
    where the format cannot hand out inner values, times of operators where the engine has no profiler.
    """
    costs = estimated_costs(source.graph)
    costs = with_times(costs, source, engine, samples[0].values)
    return with_bytes(costs, source, engine, samples, what)


def with_times(costs: Costs, source: SliceableModel, engine: Engine, values: Values) -> Costs:
    """The costs with this machine's seconds: by the engine's profiler, or stage by stage where that cannot be."""
    if isinstance(engine, TimesOperators) and source.graph.weight_bytes(source.graph.everything) <= MOST_PROFILED_BYTES:
        seconds = _profiled(source, engine, values)
        if seconds is not None:
            return replace(costs, operator_s=seconds, times_from="measured here, operator by operator")
    seconds, pieces = _in_pieces(costs, source, engine, values)
    return replace(
        costs,
        operator_s=seconds,
        times_from=f"measured here in {pieces} pieces, within each shared out by arithmetic and memory traffic",
    )


def _profiled(source: SliceableModel, engine: TimesOperators, values: Values) -> tuple[float, ...] | None:
    """Seconds of each operator; None when the profiler names none of them."""
    with tempfile.TemporaryDirectory(prefix="partway-") as folder:
        stage = source.write_stages((), Path(folder))[0]
        with engine.watch(read_stage(Path(folder), stage)) as watched:
            seconds = _run_seconds(watched, values)
            rows = watched.operators(_quickest(seconds))
    place = {operator.name: at for at, operator in enumerate(source.graph.operators)}
    found = [0.0] * len(place)
    for row in rows:
        if row.name in place:
            found[place[row.name]] += row.time_s
    return tuple(found) if sum(found) > 0 else None


def _quickest(seconds: Sequence[float]) -> list[int]:
    """Numbers of the quicker half of some runs after the first: other work slows the rest, on a busy machine."""
    order = sorted(range(len(seconds)), key=seconds.__getitem__)
    return sorted(1 + run for run in order[: max(2, len(order) // 2)])


def _in_pieces(costs: Costs, source: SliceableModel, engine: Engine, values: Values) -> tuple[tuple[float, ...], int]:
    """Seconds of each operator by those of the stage it lies in, and how many stages were timed."""
    graph = source.graph
    cuts = _even_cuts(graph, costs)
    seconds = [0.0] * len(graph.operators)
    live = dict(values)
    prefixes = [0, *(one.prefix for one in cuts), graph.everything]
    with tempfile.TemporaryDirectory(prefix="partway-") as folder:
        stages = source.write_stages([one.cut for one in cuts], Path(folder))
        for stage, before, after in zip(stages, prefixes, prefixes[1:], strict=False):
            loaded = _load(engine, Path(folder), stage)
            inside = list(members(after & ~before))
            scale = min(_run_seconds(loaded, live)) / (sum(costs.operator_s[at] for at in inside) or 1.0)
            for at in inside:
                seconds[at] = costs.operator_s[at] * scale
            live.update(loaded.run(live))
    return tuple(seconds), len(stages)


def _even_cuts(graph: Graph, costs: Costs) -> list[Frontier]:
    """A few legal cuts, an equal share of the estimated time between them as far as there are such."""
    legal = legal_cuts(graph, costs.typical_bytes, costs.operator_s)
    total_s = sum(costs.operator_s)
    found: list[Frontier] = []
    done_s = 0.0
    for one in legal:
        before_s = sum(costs.operator_s[at] for at in members(one.prefix))
        if before_s - done_s >= total_s / PIECES and not breaks_fusion(graph, one.prefix, one.cut.values):
            found.append(one)
            done_s = before_s
    return found


def _load(engine: Engine, folder: Path, stage: Stage) -> LoadedStage:
    content = read_stage(folder, stage)
    if stage.data is not None and isinstance(engine, TakesData):
        return engine.load_with_data(content, stage.data.file, open_data(folder, stage))
    return engine.load(content)


def _run_seconds(stage: LoadedStage, values: Values) -> list[float]:
    """Seconds of some runs after one to warm up."""
    stage.run(values)
    seconds: list[float] = []
    while len(seconds) < 2 or (sum(seconds) < BUDGET_S and len(seconds) < MOST_RUNS):
        begun = perf_counter()
        stage.run(values)
        seconds.append(perf_counter() - begun)
    return seconds


def with_bytes(costs: Costs, source: SliceableModel, engine: Engine, samples: Sequence[Sample], what: str) -> Costs:
    """The costs with coded bytes, and seconds of coding, of every value that a cut may send."""
    graph = source.graph
    sizes: list[dict[str, float]] = [{} for _ in LEVELS]
    rates: list[float] = []
    for arrays in _runs(source, engine, samples, _worth_measuring(graph, costs)):
        for name, some in arrays.items():
            coded = [coded_sizes(name, array) for array in some]
            rates += [seconds / array.size for (_, seconds), array in zip(coded, some, strict=True) if array.size]
            for level, bytes_of in enumerate(sizes):
                bytes_of[name] = statistics.fmean(one[level] for one, _ in coded)
    picture = costs.picture
    pixels = [sample.pixels for sample in samples if sample.pixels is not None]
    if picture is not None and pixels:
        picture = tuple(statistics.fmean(len(encode_image(codec, one)) for one in pixels) for codec in PICTURES)
    if not rates:
        return replace(costs, picture=picture)
    faster = statistics.median(rates) / CODING_S
    return replace(
        costs,
        coded=tuple({**prior, **found} for prior, found in zip(costs.coded, sizes, strict=True)),
        coding_s={name: seconds * faster for name, seconds in costs.coding_s.items()},
        picture=picture,
        bytes_from=f"measured on {what}",
    )


def _worth_measuring(graph: Graph, costs: Costs) -> list[str]:
    """The values of cuts that may be chosen: those that do not send many times what an earlier cut is thought to."""
    smallest = math.inf
    names: dict[str, None] = {}
    for one in legal_cuts(graph, costs.typical_bytes, costs.operator_s):
        if breaks_fusion(graph, one.prefix, one.cut.values) or one.size_bytes > MANY * smallest:
            continue
        smallest = min(smallest, one.size_bytes)
        names.update(dict.fromkeys(one.cut.values))
    largest = max((graph.size_bytes(name) for name in names), default=0)
    least = min(SMALL_BYTES, SMALL_SHARE * largest)
    return [name for name in names if name not in graph.inputs and graph.size_bytes(name) >= least]


def coded_sizes(name: str, array: Array) -> tuple[tuple[float, ...], float]:
    """Bytes of a value at each of LEVELS, by the codecs that send it, and the seconds that one of them took."""
    kind = array.dtype
    codecs = LEVELS if kind.kind == "f" else INTEGERS if kind.name in ("int8", "uint8") else ("zstd",) * len(LEVELS)
    found: list[float] = []
    seconds: list[float] = []
    for codec in codecs:
        begun = perf_counter()
        found.append(float(len(pack(codec, name, array)[1])))
        seconds.append(perf_counter() - begun)
    return tuple(found), seconds[1]


def _runs(
    source: SliceableModel, engine: Engine, samples: Sequence[Sample], names: Sequence[str]
) -> Iterator[Mapping[str, list[Array]]]:
    """The named values of every sample, in pieces that fit into memory; nothing where the format cannot say."""
    if source.write_watched is None:
        return
    for some in _pieces(source.graph, names, len(samples)):
        with tempfile.TemporaryDirectory(prefix="partway-") as folder:
            stage = source.write_watched(some, Path(folder))
            loaded = _load(engine, Path(folder), stage)
            outputs = [loaded.run(sample.values) for sample in samples]
            yield {name: [output[name] for output in outputs] for name in some}


def _pieces(graph: Graph, names: Sequence[str], times: int) -> Iterator[list[str]]:
    piece: list[str] = []
    size = 0
    for name in names:
        size += graph.size_bytes(name) * times
        if piece and size > AT_ONCE_BYTES:
            yield piece
            piece, size = [], graph.size_bytes(name) * times
        piece.append(name)
    if piece:
        yield piece
