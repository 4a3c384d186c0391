"""Seconds per operator of a stage, by ONNX Runtime's own profiler, under the model's names. Needs no onnx package.

The profiler counts whole microseconds, rounded down, for every kernel (a node of the graph after optimisation). What
:mod:`~partway.engines.onnx_fused` says a kernel runs gets its time.
"""

from __future__ import annotations

import json
import tempfile
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime as ort

from partway.engines.engine import OperatorTime, ProfiledRuns
from partway.engines.onnx_fused import groups, leader
from partway.engines.onnx_graph import Node, OnnxGraph, numbered, read_graph
from partway.proto.errors import InputError, mapped
from partway.proto.tensors import Values

WARM_UP = 2
MOST_EVENTS = 400_000
"""ONNX Runtime keeps a million events of a session and drops the rest."""
KERNEL = "_kernel_time"
CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})


@dataclass(frozen=True, slots=True)
class Kernel:
    """A node that ran: its name, kind, seconds a run, and how often a run calls it."""

    name: str
    kind: str
    time_s: float
    calls: int


def operator_times(stage: bytes, options: Any, values: Values, runs: int) -> ProfiledRuns:
    """Run the stage ``runs`` times with the profiler on, two warm-up rounds apart.

    ``options`` are those of the session. Raises InputError when ONNX Runtime cannot load or run the stage.
    """
    model = read_graph(stage)
    runs = max(1, min(runs, MOST_EVENTS // (len(model.nodes) + 1)))
    with tempfile.TemporaryDirectory(prefix="partway-profile-") as folder:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "trace")
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        with mapped({Exception: InputError}, "ONNX Runtime cannot profile this stage"):
            session = ort.InferenceSession(numbered(stage), options, providers=["CPUExecutionProvider"])
            feeds = {node.name: values[node.name] for node in session.get_inputs()}
            seconds = [_timed(session, feeds) for _ in range(WARM_UP + runs)][WARM_UP:]
            trace = json.loads(Path(session.end_profiling()).read_bytes())
            ran = read_graph((Path(folder) / "optimised.onnx").read_bytes())
    kernels = read_trace(trace, runs, {node.name for node in ran.nodes})
    return ProfiledRuns(attributed(model, ran, kernels), tuple(seconds))


def _timed(session: Any, feeds: Mapping[str, Any]) -> float:
    begun = perf_counter()
    session.run(None, feeds)
    return perf_counter() - begun


def read_trace(events: Sequence[Mapping[str, Any]], runs: int, outermost: set[str]) -> list[Kernel]:
    """The outermost kernels of the last ``runs`` runs of a trace, in the order in which they ran first.

    Seconds are the mean of the middle half of the runs: a median that keeps fractions of the whole microseconds.
    ``outermost`` names the nodes outside control-flow bodies; what runs in a body is in its operator's time already.
    """
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")[-runs:]
    nodes = [event for event in events if event.get("cat") == "Node" and event["name"].endswith(KERNEL)]
    nodes = sorted(
        (event for event in nodes if event["ts"] >= starts[0]), key=lambda event: (event["ts"], -event["dur"])
    )
    spent: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0] * len(starts))
    calls: Counter[tuple[str, str, str]] = Counter()
    within: Counter[tuple[str, str, str]] = Counter()
    body_until = -1
    for event in nodes:
        about = event["args"]
        key = (event["name"].removesuffix(KERNEL), str(about.get("op_name", "")), str(about.get("node_index", "")))
        spent[key][bisect_right(starts, event["ts"]) - 1] += event["dur"] * 1e-6
        calls[key] += 1
        within[key] += event["ts"] < body_until
        if key[1] in CONTROL_FLOW and event["ts"] >= body_until:
            body_until = event["ts"] + event["dur"]
    unnamed = {name for name in outermost if not name}
    return [
        Kernel(key[0], key[1], middle(times), max(1, round(calls[key] / len(starts))))
        for key, times in spent.items()
        if within[key] * 2 <= calls[key] and (key[0] in outermost or unnamed)
    ]


def middle(values: Sequence[float]) -> float:
    """The mean of the values between the quartiles."""
    ordered = np.sort(values)
    cut = len(ordered) // 4
    return float(np.mean(ordered[cut : len(ordered) - cut]))


def attributed(model: OnnxGraph, ran: OnnxGraph, kernels: Sequence[Kernel]) -> tuple[OperatorTime, ...]:
    """Kernels as operators of the model, in its order; those that belong to none follow, one entry a kind."""
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
        rows.append((first, OperatorTime(names[first], model.nodes[first].kind, times[at], calls[at], together)))
    rows.sort(key=lambda row: row[0])
    inserted = [OperatorTime(None, kind, time_s, count) for kind, (time_s, count) in loose.items()]
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
