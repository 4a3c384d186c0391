"""The torch engine beyond single operators: sizes, functions, second files, batches, graphs, memory."""

from __future__ import annotations

from threading import Thread
from typing import Any

import numpy as np
import pytest

from partway.engines.interface import OutOfMemory, Unsupported
from partway.engines.onnxruntime.engine import OnnxEngine
from partway.errors import InputError

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from partway.engines.torch.device import Cpu  # noqa: E402
from partway.engines.torch.engine import TorchEngine  # noqa: E402

helper, numpy_helper, Kind = onnx.helper, onnx.numpy_helper, onnx.TensorProto
F = np.float32
TORCH, ONNX = TorchEngine(1), OnnxEngine(1)


class Capturing(Cpu):
    """A processor that records and repeats, as a GPU does, and counts."""

    def __init__(self) -> None:
        super().__init__(captures=True)
        self.batches: list[int] = []
        self.freed = 0
        self.most = 1000

    def capture(self, work: Any) -> Any:
        repeat, made = super().capture(work)
        if len(made[0]) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.batches.append(len(made[0]))
        return repeat, made

    def free(self) -> None:
        self.freed += 1


def graph(
    nodes: list[Any], weights: dict[str, Any], x: tuple[Any, ...] = ("n", 6), y: tuple[Any, ...] = ("n", 6)
) -> Any:
    """A model x -> y of float32."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, x)],
        [helper.make_tensor_value_info("y", 1, y)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def layer(fold: str = "x", out: str = "y") -> Any:
    """One layer with its weights."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((6, 6)).astype(F), "b": rng.standard_normal(6).astype(F)}
    nodes = [helper.make_node("Gemm", [fold, "w", "b"], ["h"]), helper.make_node("Relu", ["h"], [out])]
    return graph(nodes, weights)


def given(batch: int, seed: int = 0) -> dict[str, Any]:
    """An input."""
    return {"x": np.random.default_rng(seed).standard_normal((batch, 6)).astype(F)}


def both(model: Any, values: dict[str, Any]) -> None:
    """The same from both engines."""
    stage = bytes(model.SerializeToString())
    want, got = (engine.load(stage).run(values) for engine in (ONNX, TORCH))
    for name, expected in want.items():
        assert (got[name].dtype, got[name].shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-5)


def test_sizes_that_the_model_computes_do_not_wait_for_the_device() -> None:
    """Shape, Gather, Concat, Reshape with a free batch, and positions counted from a size."""
    n = helper.make_node
    nodes = [
        n("Shape", ["x"], ["s"]),
        n("Gather", ["s", "zero"], ["batch"], axis=0),
        n("Mul", ["batch", "two"], ["twice"]),
        n("Concat", ["twice", "three"], ["to"], axis=0),
        n("Reshape", ["x", "to"], ["r"]),
        n("Squeeze", ["three"], ["limit"]),
        n("Range", ["start", "limit", "one"], ["at"]),
        n("Cast", ["at"], ["places"], to=1),
        n("Add", ["r", "places"], ["moved"]),
        n("Shape", ["x"], ["back"]),
        n("Reshape", ["moved", "back"], ["y"]),
    ]
    weights = {"zero": np.array([0]), "two": np.array([2]), "three": np.array([3])}
    weights |= {"start": np.array(0), "one": np.array(1)}
    model = graph(nodes, weights)
    both(model, given(4))
    device = Capturing()
    stage = TorchEngine(1, place=device).load(model.SerializeToString())
    want = ONNX.load(model.SerializeToString()).run(given(3))
    np.testing.assert_allclose(stage.run(given(3))["y"], want["y"], rtol=1e-5)
    assert device.batches == [4]


def test_a_models_own_functions_are_taken_apart() -> None:
    """Names inside do not meet those outside; attributes are handed on, or have defaults."""
    inner = [helper.make_node("LeakyRelu", ["a"], ["h"], name="leak"), helper.make_node("Add", ["h", "b"], ["c"])]
    inner[0].attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    opset = [helper.make_opsetid("", 18)]
    function = helper.make_function("mine", "Bent", ["a", "b"], ["c"], inner, opset, attributes=["slope"])
    nodes = [
        helper.make_node("Neg", ["x"], ["h"]),
        helper.make_node("Bent", ["h", "x"], ["again"], domain="mine", slope=0.5),
        helper.make_node("Bent", ["again", "h"], ["y"], domain="mine", slope=0.25),
    ]
    model = graph(nodes, {})
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    both(model, given(2))


@pytest.mark.parametrize("which", [True, False])
def test_a_branch_on_a_constant_is_taken(which: bool) -> None:
    """What is outside can be read inside."""
    bodies = {}
    for name, kind in (("then_branch", "Neg"), ("else_branch", "Exp")):
        out = helper.make_tensor_value_info(f"o_{kind}", 1, None)
        bodies[name] = helper.make_graph([helper.make_node(kind, ["x"], [f"o_{kind}"])], name, [], [out])
    both(graph([helper.make_node("If", ["c"], ["y"], **bodies)], {"c": np.array(which)}), given(2))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (helper.make_node("LSTM", ["x", "x", "x"], ["y"], name="memory"), r"LSTM \(memory\); use --engine onnx"),
        (helper.make_node("Relu", ["x"], ["y"], domain="com.acme"), r"com.acme.Relu \(y\)"),
        (helper.make_node("Relu", ["x"], ["y"], name="r", leak=1), r"Relu \(r\) with the attribute leak"),
        (helper.make_node("Pad", ["x", "x"], ["y"], name="p", mode="mirror"), r"Pad \(p\) with mode mirror"),
        (helper.make_node("BatchNormalization", ["x"] * 5, ["y", "a", "b"], training_mode=1), "with output 2"),
    ],
)
def test_what_it_does_not_know_is_named_when_it_loads(made: Any, words: str) -> None:
    """The operator, the node, and the engine that can."""
    with pytest.raises(Unsupported, match=words) as caught:
        TORCH.load(bytes(graph([made], {}).SerializeToString()))
    assert "\n" not in str(caught.value)


def test_values_that_nothing_makes_are_named() -> None:
    """A damaged stage is no traceback."""
    with pytest.raises(InputError, match=r"Relu \(y\) reads 'z', which nothing makes"):
        TORCH.load(bytes(graph([helper.make_node("Relu", ["z"], ["y"])], {}).SerializeToString()))


@pytest.mark.parametrize("x", [np.zeros((2, 5), F), np.zeros((2, 6), np.float64), np.zeros(6, F)])
def test_tensors_that_do_not_fit_are_refused(x: Any) -> None:
    """Shape, type, rank."""
    with pytest.raises(InputError, match=r"torch refused the tensors: x is float32 \['any', 6\]"):
        TORCH.load(layer().SerializeToString()).run({"x": x})


def test_weights_in_a_second_file() -> None:
    """Read where they lie; without the file, or from any other, refused."""
    model = layer()
    want = ONNX.load(model.SerializeToString()).run(given(2))["y"]
    data = b""
    for weight in model.graph.initializer:
        raw = weight.raw_data
        weight.ClearField("raw_data")
        weight.data_location = Kind.EXTERNAL
        entries = {"location": "w.data", "offset": str(len(data)), "length": str(len(raw))}
        for key, value in entries.items():
            weight.external_data.add(key=key, value=value)
        data += raw
    stage = bytes(model.SerializeToString())
    np.testing.assert_allclose(TORCH.load_with_data(stage, "w.data", data).run(given(2))["y"], want, rtol=1e-5)
    with pytest.raises(InputError, match="a file that its plan does not name"):
        TORCH.load(stage)
    with pytest.raises(InputError, match=r"only other\.data beside it may be read"):
        TORCH.load_with_data(stage, "other.data", data)


def test_batches_are_filled_up_to_buckets() -> None:
    """One graph per bucket, whatever comes; beyond the largest, one per size. Answers are each frame's own."""
    device = Capturing()
    stage = TorchEngine(1, place=device).load(layer().SerializeToString())
    plain = TORCH.load(layer().SerializeToString())
    for batch in (3, 4, 1, 2, 5, 8, 64, 65, 3, 0):
        made = stage.run(given(batch, seed=batch))["y"]
        np.testing.assert_allclose(made, plain.run(given(batch, seed=batch))["y"], rtol=1e-5, atol=1e-6)
    assert device.batches == [4, 1, 2, 8, 64, 65, 0]
    assert (stage.buckets, plain.buckets) == ((1, 2, 4, 8, 16, 32, 64), ())


def test_a_batch_that_mixes_its_samples_is_not_filled_up() -> None:
    """Its range is that of its own numbers."""
    n = helper.make_node
    nodes = [n("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), n("DequantizeLinear", ["q", "s", "z"], ["y"])]
    device = Capturing()
    values = {"x": given(3)["x"] + 5}
    stage = TorchEngine(1, place=device).load(graph(nodes, {}).SerializeToString())
    want = ONNX.load(graph(nodes, {}).SerializeToString()).run(values)["y"]
    np.testing.assert_allclose(stage.run(values)["y"], want, rtol=1e-4)
    assert device.batches == [3]


def test_no_memory_is_one_error_and_a_smaller_batch_runs() -> None:
    """What was kept is given back first."""
    device = Capturing()
    device.most = 8
    stage = TorchEngine(1, place=device).load(layer().SerializeToString())
    with pytest.raises(OutOfMemory, match="no memory for this batch: CUDA out of memory"):
        stage.run(given(9))
    assert device.freed == 1
    assert stage.run(given(8))["y"].shape == (8, 6)


def test_answers_share_no_memory_with_what_came_in_or_what_stays() -> None:
    """An input handed on, a weight handed out, one value under two shapes."""
    n = helper.make_node
    nodes = [n("Identity", ["x"], ["y"]), n("Identity", ["w"], ["c"]), n("Unsqueeze", ["x", "axis"], ["u"])]
    model = graph(nodes, {"w": np.ones(3, F), "axis": np.array([0])})
    model.graph.output.extend(helper.make_tensor_value_info(name, 1, None) for name in ("c", "u"))
    for output in model.graph.output[1:]:
        output.type.tensor_type.shape.dim.extend(
            onnx.TensorShapeProto.Dimension() for _ in range(1 if output.name == "c" else 3)
        )
    stage = TORCH.load(model.SerializeToString())
    values = given(2)
    first = stage.run(values)
    kept = values["x"].copy()
    for array in first.values():
        array += 1
    assert np.array_equal(values["x"], kept)
    again = stage.run(values)
    assert np.array_equal(again["c"], np.ones(3, F))
    assert np.array_equal(first["y"], kept + 1) and np.array_equal(first["u"][0], kept + 1)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_answers_in_the_declared_type(precision: str) -> None:
    """Computed in half, near the whole."""
    stage = TorchEngine(1, precision=precision).load(layer().SerializeToString())
    made, want = stage.run(given(4))["y"], ONNX.load(layer().SerializeToString()).run(given(4))["y"]
    assert made.dtype == F
    assert 0 < np.abs(made - want).max() < 0.1
    assert stage.advance(given(4))["y"].dtype is {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def test_stages_run_as_one_and_keep_what_is_wanted() -> None:
    """Values pass a stage by name; only the wanted ones come out."""
    device = Capturing()
    engine = TorchEngine(1, place=device)
    first, second = layer(out="y"), layer(fold="y", out="z")
    second.graph.input[0].name, second.graph.output[0].name = "y", "z"
    stages = [engine.load(model.SerializeToString()) for model in (first, second)]
    one = stages[0].followed_by(stages[1:], {"z"})
    assert [[spec.name for spec in specs] for specs in (one.inputs, one.outputs)] == [["x"], ["z"]]
    want = stages[1].run(stages[0].run(given(3)))["z"]
    np.testing.assert_allclose(one.run(given(3))["z"], want, rtol=1e-6)
    with pytest.raises(InputError, match="different engines"):
        stages[0].followed_by([ONNX.load(second.SerializeToString())], {"z"})


def test_compiled_stages_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile gets the module, and its batch."""
    seen: list[Any] = []

    def compile_(module: Any, **options: Any) -> Any:
        seen.append(options)
        return module

    monkeypatch.setattr(torch, "compile", compile_)
    stage = TorchEngine(1, compiled=True).load(layer().SerializeToString())
    plain = TORCH.load(layer().SerializeToString())
    assert np.array_equal(stage.run(given(2))["y"], plain.run(given(2))["y"])
    assert seen == [{"dynamic": False}]


def test_onnx_runtime_bound_to_a_device_gives_the_same() -> None:
    """The path of a GPU with the processor as the device: bound tensors, stages in a row, values left there."""
    from partway.engines.onnxruntime.gpu import OnnxDeviceEngine

    engine = OnnxDeviceEngine(1, "cpu")
    second = layer(fold="y", out="z")
    second.graph.input[0].name, second.graph.output[0].name = "y", "z"
    stages = [engine.load(model.SerializeToString()) for model in (layer(), second)]
    want = ONNX.load(second.SerializeToString()).run(ONNX.load(layer().SerializeToString()).run(given(3)))["z"]
    one = stages[0].followed_by(stages[1:], {"z"})
    assert np.array_equal(one.run(given(3))["z"], want)
    halfway = stages[0].advance(given(3))
    assert not isinstance(halfway["y"], np.ndarray)
    made = stages[1].advance(halfway)
    assert np.array_equal(stages[1].fetch(made, {})["z"], want)
    assert stages[0].join([halfway["y"], np.zeros((1, 6), F)]).shape == (4, 6)
    with pytest.raises(InputError, match="ONNX Runtime refused the tensors"):
        one.run({"x": np.zeros((2, 5), F)})


def test_onnx_runtime_without_a_gpus_provider_says_so() -> None:
    """One sentence that names what to install."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime has its CUDA provider here")
    from partway.engines.registry import engine_for

    with pytest.raises(InputError, match="no CUDAExecutionProvider; pip install onnxruntime-gpu"):
        engine_for("onnx", 1, "cuda:0")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_gpu_gives_the_processors_answers(precision: str) -> None:
    """From several threads at once, for batches of any size."""
    stage = TorchEngine(1, "cuda:0", precision).load(layer().SerializeToString())
    plain = TORCH.load(layer().SerializeToString())
    wrong: list[int] = []

    def ask(batch: int) -> None:
        made, want = (one.run(given(batch, seed=batch))["y"] for one in (stage, plain))
        if not np.allclose(
            made, want, rtol=1e-4 if precision == "fp32" else 0.1, atol=0.1 if precision != "fp32" else 1e-5
        ):
            wrong.append(batch)

    for batches in ((1, 2, 3), (64, 65, 7), (3, 3, 3)):
        threads = [Thread(target=ask, args=(batch,)) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
