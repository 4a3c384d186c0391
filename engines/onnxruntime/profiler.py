"""Seconds per operator of a stage, by ONNX Runtime's own profiler, under the model's names. Needs no onnx package.

The profiler counts whole microseconds, rounded down, for every kernel (a node of the graph after optimisation).
:mod:`~partway.engines.onnxruntime.fused` maps a kernel's time to the operators it runs.
"""

from __future__ import annotations

import json
import tempfile
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnxruntime as ort

from partway.engines.interface import OperatorTiming
from partway.engines.onnx_file.graph import Node, OnnxGraph, numbered, read_graph
from partway.engines.onnxruntime.fused import groups, leader
from partway.engines.onnxruntime.stage import OnnxStage, brief
from partway.errors import InputError

KERNEL = "_kernel_time"
CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_Key = tuple[str, str, str]
"""Name, kind and number of a node as a trace has them."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A node that ran: its name, kind, seconds a run, and how often a run calls it."""

    name: str
    kind: str
    time_s: float
    calls: int


class WatchedOnnxStage(OnnxStage):
    """A session with the profiler on. See :class:`~partway.engines.interface.WatchedStage`."""

    def __init__(self, stage: bytes, options: Any) -> None:
        self._model = read_graph(stage)
        self._folder = tempfile.TemporaryDirectory(prefix="partway-profile-")
        self._ran = Path(self._folder.name) / "optimised.onnx"
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "trace")
        options.optimized_model_filepath = str(self._ran)
        try:
            super().__init__(ort.InferenceSession(numbered(stage), options, providers=["CPUExecutionProvider"]))
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but Exception
            self._folder.cleanup()
            raise InputError(f"ONNX Runtime cannot profile this stage: {brief(error)}") from error

    def operators(self, runs: Sequence[int]) -> tuple[OperatorTiming, ...]:
        """Seconds per operator of the model, in its order; kernels that belong to none follow, one entry a kind."""
        trace = json.loads(Path(self.session.end_profiling()).read_bytes())
        ran = read_graph(self._ran.read_bytes())
        return attributed(self._model, ran, read_trace(trace, runs, {node.name for node in ran.nodes}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()


def read_trace(events: Sequence[Mapping[str, Any]], runs: Sequence[int], outermost: set[str]) -> list[Kernel]:
    """The outermost kernels of some runs of a trace, in the order in which they ran first.

    Seconds are the mean of the middle half of the runs: a median that keeps fractions of the whole microseconds.
    ``outermost`` names the nodes outside control-flow bodies; what runs in a body is in its operator's time already.
    Raises InputError when the trace has fewer runs: ONNX Runtime keeps the first million events only.
    """
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    if max(runs, default=0) >= len(starts):
        raise InputError("ONNX Runtime's profiler cannot keep so many runs of this model; ask for fewer with --runs")
    places = {run: place for place, run in enumerate(runs)}
    nodes = [event for event in events if event.get("cat") == "Node" and event["name"].endswith(KERNEL)]
    nodes.sort(key=lambda event: (event["ts"], -event["dur"]))
    spent: dict[_Key, list[float]] = defaultdict(lambda: [0.0] * len(runs))
    calls: Counter[_Key] = Counter()
    within: Counter[_Key] = Counter()
    body_until = -1
    for event in nodes:
        key = _key(event)
        inside = event["ts"] < body_until
        if key[1] in CONTROL_FLOW and not inside:
            body_until = event["ts"] + event["dur"]
        place = places.get(bisect_right(starts, event["ts"]) - 1)
        if place is not None:
            spent[key][place] += event["dur"] * 1e-6
            calls[key] += 1
            within[key] += inside
    return [
        Kernel(key[0], key[1], middle(times), max(1, round(calls[key] / len(runs))))
        for key, times in spent.items()
        if within[key] * 2 <= calls[key] and (key[0] in outermost or "" in outermost)
    ]


def _key(event: Mapping[str, Any]) -> _Key:
    about = event["args"]
    return event["name"].removesuffix(KERNEL), str(about.get("op_name", "")), str(about.get("node_index", ""))


def middle(values: Sequence[float]) -> float:
    """The mean of the values between the quartiles."""
    ordered = np.sort(values)
    cut = len(ordered) // 4
    return float(np.mean(ordered[cut : len(ordered) - cut]))


def attributed(model: OnnxGraph, ran: OnnxGraph, kernels: Sequence[Kernel]) -> tuple[OperatorTiming, ...]:
    """Kernels as operators of the model, in its order, and those that belong to none."""
    found, of_node = groups(model, ran.nodes)
    times: dict[int, float] = defaultdict(float)
    calls: Counter[int] = Counter()
    loose: dict[str, tuple[float, int]] = {}
    names = _names(model)
    for kernel, at in zip(kernels, _matched(ran.nodes, kernels), strict=True):
        number = None if at is None else of_node[at]
        if number is None:
            time_s, count = loose.get(kernel.kind, (0.0, 0))
            loose[kernel.kind] = (time_s + kernel.time_s, count + kernel.calls)
        else:
            times[number] += kernel.time_s
            calls[number] += kernel.calls
    rows = []
    for at, group in enumerate(found):
        first = leader(model, group)
        together = tuple(names[one] for one in group) if len(group) > 1 else ()
        rows.append((first, OperatorTiming(names[first], model.nodes[first].kind, times[at], calls[at], together)))
    rows.sort(key=lambda row: row[0])
    inserted = [OperatorTiming(None, kind, time_s, count) for kind, (time_s, count) in loose.items()]
    return (*(row for _, row in rows), *inserted)


def _matched(ran: Sequence[Node], kernels: Sequence[Kernel]) -> list[int | None]:
    """Which node each kernel is: by name, else the next of its kind without a name."""
    waiting: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, node in enumerate(ran):
        waiting[node.name, "" if node.name else node.kind].append(at)
    found: list[int | None] = []
    for kernel in kernels:
        places = waiting.get((kernel.name, "")) or waiting.get(("", kernel.kind)) or []
        found.append(places.pop(0) if places else None)
    return found


def _names(model: OnnxGraph) -> list[str]:
    """Each operator's name; that of its first value where it has none or shares it."""
    shared = Counter(node.name for node in model.nodes)
    return [
        node.name if node.name and shared[node.name] == 1 else next(iter(node.outputs), node.kind)
        for node in model.nodes
    ]
