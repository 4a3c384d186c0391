"""Networks of seven architectures, and a made-up machine that obeys a known law of time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.support.architectures import Net

from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.profile.file import OperatorSeconds
from partway.partitioner.profile.fused_groups import Habits, MeasuredModel, Pair, measured_groups, predicted_groups
from partway.partitioner.profile.regression import features_of
from partway.partitioner.slicing import read_graph

LAW = np.array([2e-10, 1e-11, 3e-11, 5e-11, 4e-6])

"""Seconds per multiply-add, byte read, byte made, byte of weights, and operator, of a made-up machine."""


def network(seed: int, widths: tuple[int, ...], side: int, residual: bool = False, depthwise: bool = False) -> Any:
    """A convolutional classifier; every convolution is followed by an activation."""
    net = Net(seed)
    x, before = "image", 3
    for width in widths:
        if depthwise and before > 3:
            x = net.op("Relu", net.op("Conv", x, net.weight(before, 1, 3, 3), group=before, pads=[1] * 4))
        kept, x = x, net.conv(x, before, width)
        if residual and before == width:
            x = net.op("Add", x, kept)
        if width != before:
            x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        before = width
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    net.linear(x, before, 10, out="logits")
    return net.model([("image", ["N", 3, side, side])], [("logits", ["N", 10])])


NETWORKS: dict[str, dict[str, Any]] = {
    "narrow": {"widths": (8, 16, 24), "side": 64},
    "wide": {"widths": (24, 32, 48), "side": 48},
    "deep": {"widths": (12, 12, 12, 20, 20, 20, 28), "side": 48},
    "residual": {"widths": (16, 16, 16, 32, 32), "side": 56, "residual": True},
    "mobile": {"widths": (16, 24, 32, 48), "side": 64, "depthwise": True},
    "long": {"widths": (8, 8, 16, 16, 16, 32, 32, 32), "side": 64, "residual": True},
    "both": {"widths": (16, 16, 32, 32, 40), "side": 40, "residual": True, "depthwise": True},
}


def graphs_of(folder: Path) -> list[Graph]:
    return [read_graph(folder / stage.file) for stage in load_plan(folder).stages]


def by_law(folder: Path, noise: float = 0.0, seed: int = 0) -> tuple[MeasuredModel, list[Graph]]:
    """What a profile of a machine would be that fuses each convolution with its Relu and obeys LAW to the letter."""
    rng = np.random.default_rng(seed)
    graphs = graphs_of(folder)
    habits = Habits(frozenset({Pair("Conv", "Relu")}), {"Conv Relu": "Conv"})
    operators, stage_s = [], []
    for stage, graph in enumerate(graphs):
        total = 0.0
        readers = {op.inputs[0]: op for op in graph.operators if op.kind == "Relu"}
        for group in predicted_groups(graph, stage, habits):
            leader = next(op for op in graph.operators if op.name == group.name)
            fused = [readers[leader.outputs[0]].name] if leader.kind == "Conv" else []
            seconds = float(LAW @ features_of(group)) * (1 + noise * rng.standard_normal())
            operators.append(OperatorSeconds(group.name, leader.kind, stage, seconds, 1, tuple(fused)))
            total += seconds
        stage_s.append(total + 3e-5)
    return measured_groups(folder.name, graphs, stage_s, operators), graphs
