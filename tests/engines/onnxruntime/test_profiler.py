"""Seconds per operator from ONNX Runtime's profiler, under the model's names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx")

from tests.support.architectures import ARCHITECTURES  # noqa: E402
from tests.support.operator_times import by_name, times  # noqa: E402

from partway.engines.fake import FakeEngine  # noqa: E402
from partway.engines.interface import OperatorTiming, TimesOperators  # noqa: E402
from partway.engines.onnx_file.graph import read_graph  # noqa: E402
from partway.engines.onnxruntime.engine import OnnxEngine  # noqa: E402
from partway.engines.onnxruntime.profiler import middle, read_trace  # noqa: E402
from partway.errors import InputError  # noqa: E402


@pytest.fixture(scope="module", params=ARCHITECTURES)
def timed(request: pytest.FixtureRequest) -> tuple[Any, list[OperatorTiming]]:
    """An architecture and its times."""
    made = ARCHITECTURES[request.param]()
    return made.model, times(made.model, made.sizes)


def test_every_operator_is_accounted_for_once(timed: tuple[Any, list[OperatorTiming]]) -> None:
    """By itself or within one group; only what is constant may be missing, and nothing has a name the model lacks."""
    model, found = timed
    named = [name for one in found for name in (one.fused or ((one.name,) if one.name else ()))]
    assert max(Counter(named).values()) == 1
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert all(one.kind == kinds[one.name] for one in found if one.name)
    assert all(one.name in one.fused for one in found if one.fused)
    graph = read_graph(model.SerializeToString())
    values, moving = set(graph.inputs), set()
    for node in graph.nodes:
        if values.intersection(node.inputs):
            moving.add(node.name)
            values.update(node.outputs)
    assert moving <= set(named)


def test_every_operator_has_its_time(timed: tuple[Any, list[OperatorTiming]]) -> None:
    """Each group was run by a kernel at least, and what belongs to none is only what the engine inserts."""
    _, found = timed
    assert all(one.calls >= 1 and one.time_s >= 0 for one in found)
    assert sum(one.time_s for one in found) > 0
    inserted = {one.kind for one in found if one.name is None}
    assert inserted <= {"ReorderInput", "ReorderOutput", "Reshape", "Transpose"}


def test_operators_without_a_name_or_with_the_same_go_by_their_value() -> None:
    """Which no other has."""
    model = ARCHITECTURES["chain"]().model
    for node, name in zip(model.graph.node, ["", "", *["same"] * 9], strict=True):
        node.name = name
    assert {"conv0_0", "maxpool3_0", "logits"} <= by_name(times(model)).keys()


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\x3a\x05abc", b"not a model at all"])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    """In one sentence, and nothing is left on disk."""
    with pytest.raises(InputError, match="stage"):
        OnnxEngine(1).watch(data)


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace and optimised graph are gone with the stage, and when it cannot be loaded."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    times(ARCHITECTURES["chain"]().model)
    broken = ARCHITECTURES["chain"]().model
    broken.graph.node[0].op_type = "Frobnicate"
    with pytest.raises(InputError, match=r"cannot profile.*Frobnicate"):
        OnnxEngine(1).watch(broken.SerializeToString())
    assert not list(tmp_path.iterdir())


def event(name: str, ts: int, dur: int, kind: str = "Relu") -> dict[str, Any]:
    """One of a trace."""
    args = {"op_name": kind, "node_index": "1"}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": args}


def test_a_trace_gives_the_middle_of_the_runs_that_count() -> None:
    """The first run is left out, one that was interrupted does not count, fractions of a microsecond are kept."""
    trace: list[dict[str, Any]] = []
    for at, spent in enumerate([900, 3, 4, 3, 4, 500, 3, 4]):
        trace += [
            event("a", 1000 * at + 1, spent),
            {"name": "model_run", "ts": 1000 * at, "dur": 999},
        ]
    (kernel,) = read_trace(trace, range(1, 8), {"a"})
    assert 3e-6 < kernel.time_s < 4e-6
    assert (kernel.name, kernel.kind, kernel.calls) == ("a", "Relu", 1)
    with pytest.raises(InputError, match="--runs"):
        read_trace(trace, range(9), {"a"})


def test_a_body_may_have_names_of_the_outer_graph() -> None:
    """What runs while a Loop does is part of it, whatever its name; the same name outside counts."""
    trace = [{"name": "model_run", "ts": 0, "dur": 99}, event("loop", 1, 20, "Loop")]
    trace += [event("reorder", 2, 3), event("reorder", 6, 3), {**event("reorder", 30, 7), "args": {"op_name": "Relu"}}]
    found = read_trace(trace, [0], {"loop", "reorder"})
    assert [one.name for one in found] == ["loop", "reorder"]
    assert [one.time_s for one in found] == pytest.approx([20e-6, 7e-6])


def test_the_middle_is_robust() -> None:
    """A quarter of the values at either end does not matter."""
    assert middle([5.0]) == 5.0
    assert middle([1, 2, 3, 1000]) == 2.5


def test_an_engine_need_not_time_operators() -> None:
    """The fake has none."""
    assert isinstance(OnnxEngine(1), TimesOperators)
    assert not isinstance(FakeEngine(), TimesOperators)
