"""Kernels of ONNX Runtime under the names of the model's operators, on models that it rewrites in many ways."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
onnx = pytest.importorskip("onnx")

from tests.support.architectures import ARCHITECTURES, Net  # noqa: E402
from tests.support.chains import feeds_for  # noqa: E402

from partway.engines.fake import FakeEngine  # noqa: E402
from partway.engines.interface import OperatorTiming, TimesOperators  # noqa: E402
from partway.engines.onnx_file.graph import numbered, read_graph  # noqa: E402
from partway.engines.onnxruntime.engine import OnnxEngine  # noqa: E402
from partway.engines.onnxruntime.profiler import middle, read_trace  # noqa: E402
from partway.errors import InputError  # noqa: E402

RUNS = 12


def times(model: Any, sizes: dict[str, tuple[int, ...]] | None = None) -> list[OperatorTiming]:
    """What the model's operators take, warm."""
    feeds = feeds_for(model, sizes or {}, 1)
    with OnnxEngine(1).watch(model.SerializeToString()) as stage:
        for _ in range(RUNS):
            stage.run(feeds)
        return list(stage.operators(range(2, RUNS)))


def by_name(found: list[OperatorTiming]) -> dict[str, OperatorTiming]:
    """Those that belong to an operator."""
    return {one.name: one for one in found if one.name is not None}


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


def test_a_convolution_goes_with_its_normalisation_and_activation() -> None:
    """Conv, BatchNormalization and Relu run as one, and Gemm with its Relu; both go by what takes the time."""
    found = by_name(times(ARCHITECTURES["chain"]().model))
    assert (found["n0"].kind, found["n0"].fused) == ("Conv", ("n0", "n1", "n2"))
    assert (found["n8"].kind, found["n8"].fused) == ("Gemm", ("n8", "n9"))
    assert (found["n3"].kind, found["n3"].fused) == ("MaxPool", ())


def test_an_activation_belongs_to_the_convolution_before_it_not_the_one_after() -> None:
    """Also where neither a name nor a value is left of it, as between convolutions in the blocked layout."""
    found = by_name(times(ARCHITECTURES["mobile"]().model, ARCHITECTURES["mobile"]().sizes))
    assert found["n2"].fused == ("n2", "n3")  # Clip
    assert "n5" not in found["n6"].fused  # HardSwish, of n4


def test_the_fusions_of_a_transformer_are_undone() -> None:
    """Layer normalisation and GELU, written as nine and five operators, are one group each; scaled MatMuls too."""
    net = Net(30)
    scores = net.op("MatMul", "x", net.op("Transpose", "x", perm=[0, 2, 1]))
    attention = net.op("Softmax", net.op("Div", scores, net.constant(np.float32(8))), axis=-1)
    x = net.op("Add", net.op("MatMul", attention, "x"), "x")
    x, norm = layer_norm(net, x, 64)
    hidden = net.op("Add", net.op("MatMul", x, net.weight(64, 128)), net.weight(128))
    x, gelu = gelu_of(net, hidden)
    net.op("MatMul", x, net.weight(128, 64), out="y")
    found = by_name(times(net.model([("x", ["N", 16, 64])], [("y", ["N", 16, 64])])))
    assert set(norm) <= set(found[norm[-1]].fused)
    assert set(gelu) <= set(found[gelu[-1]].fused)
    div = next(node.name for node in net.nodes if node.op_type == "Div")
    assert any(one.kind == "MatMul" and div in one.fused for one in found.values())


def layer_norm(net: Net, x: str, width: int) -> tuple[str, list[str]]:
    """Its last value and the names of its operators, as exporters wrote it before opset 17."""
    begun = len(net.nodes)
    centred = net.op("Sub", x, net.op("ReduceMean", x, axes=[-1], keepdims=1))
    squares = net.op("Pow", centred, net.constant(np.float32(2)))
    variance = net.op("ReduceMean", squares, axes=[-1], keepdims=1)
    deviation = net.op("Sqrt", net.op("Add", variance, net.constant(np.float32(1e-5))))
    scaled = net.op("Mul", net.op("Div", centred, deviation), net.weight(width))
    return net.op("Add", scaled, net.weight(width)), [node.name for node in net.nodes[begun:]]


def gelu_of(net: Net, x: str) -> tuple[str, list[str]]:
    """The same for GELU by the error function."""
    begun = len(net.nodes)
    erf = net.op("Erf", net.op("Div", x, net.constant(np.float32(2**0.5))))
    gated = net.op("Mul", x, net.op("Add", erf, net.constant(np.float32(1))))
    return net.op("Mul", gated, net.constant(np.float32(0.5))), [node.name for node in net.nodes[begun:]]


def test_a_quantised_convolution_goes_by_its_convolution() -> None:
    """Dequantise, Conv, quantise become one integer kernel; its group names the float operators of the model."""
    net = Net(31)
    scale, zero = net.constant(np.float32(0.03)), net.constant(np.uint8(10))
    x = net.op("DequantizeLinear", net.op("QuantizeLinear", "x", scale, zero), scale, zero)
    for before, after in ((3, 8), (8, 8)):
        values = net.rng.integers(-100, 100, (after, before, 3, 3)).astype(np.int8)
        weight_scale = net.constant(np.float32(0.01))
        weight = net.op("DequantizeLinear", net.constant(values), weight_scale, net.constant(np.int8(0)))
        bias = net.constant(net.rng.integers(-50, 50, after).astype(np.int32))
        bias_scale = net.constant(np.float32(0.03) * np.float32(0.01))
        bias = net.op("DequantizeLinear", bias, bias_scale, net.constant(np.int32(0)))
        x = net.op("QuantizeLinear", net.op("Conv", x, weight, bias, pads=[1] * 4), scale, zero)
        x = net.op("DequantizeLinear", x, scale, zero)
    net.op("Identity", x, out="y")
    found = times(net.model([("x", ["N", 3, 16, 16])], [("y", ["N", 8, 16, 16])]))
    kinds = {node.name: node.op_type for node in net.nodes}
    convs = [[kinds[name] for name in one.fused] for one in found if one.kind == "Conv"]
    assert convs == [["DequantizeLinear", "Conv", "QuantizeLinear"]] * 2


@pytest.mark.parametrize(("name", "operator"), [("loop", "n5"), ("conditional", "n9"), ("scan", "n4")])
def test_what_runs_in_a_body_is_the_operators_time(name: str, operator: str) -> None:
    """Not counted a second time: the body's kernels are nowhere else, and the operator is called once a run."""
    model = ARCHITECTURES[name]().model
    found = times(model)
    assert by_name(found)[operator].calls == 1
    outside = {node.op_type for node in model.graph.node} | {"ReorderInput", "ReorderOutput"}
    assert {one.kind for one in found} <= outside


def test_a_recurrent_layer_is_one_operator() -> None:
    """LSTM and GRU by name, the Identity after it as part of the GRU."""
    found = by_name(times(ARCHITECTURES["recurrent"]().model))
    assert (found["n0"].kind, found["n4"].kind, found["n4"].fused) == ("LSTM", "GRU", ("n4", "n5"))


def test_a_function_of_the_model_is_one_operator() -> None:
    """Its kernels, inlined and fused, are its time."""
    found = by_name(times(ARCHITECTURES["local_functions"]().model))
    assert (found["n0"].kind, found["n0"].calls) == ("Block", 2)


def test_operators_without_a_name_or_with_the_same_go_by_their_value() -> None:
    """Which no other has."""
    model = ARCHITECTURES["chain"]().model
    for node, name in zip(model.graph.node, ["", "", *["same"] * 9], strict=True):
        node.name = name
    assert {"conv0_0", "maxpool3_0", "logits"} <= by_name(times(model)).keys()


def test_numbers_replace_names_and_nothing_else() -> None:
    """The file with its operators numbered is the same model to the onnx package."""
    model = ARCHITECTURES["conditional"]().model
    made = onnx.ModelProto.FromString(numbered(model.SerializeToString()))
    assert [node.name for node in made.graph.node] == [f"@{at}@" for at in range(len(model.graph.node))]
    for node, own in zip(made.graph.node, model.graph.node, strict=True):
        node.name = own.name
    assert made == model


def test_a_body_reads_what_it_captures() -> None:
    """The If reads the values that its branches take from outside, and not those of their own."""
    graph = read_graph(ARCHITECTURES["conditional"]().model.SerializeToString())
    branch = next(node for node in graph.nodes if node.kind == "If")
    assert set(branch.inputs) == {"greater8_0", "relu6_0", "maxpool2_0", "w7"}


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
