"""What every engine promises, tried on each."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from partway.engines.fake import FakeEngine, fake_stage
from partway.engines.interface import Engine, StaysOnDevice, TakesData, TimesOperators
from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.proto.tensors import TensorSpec

IN = (TensorSpec("x", "float32", (None, 3)), TensorSpec("n", "int64", (None, 2)))
OUT = (TensorSpec("y", "float32", (None, 3)), TensorSpec("m", "int64", (None, 2)))


def onnx_stage() -> bytes:
    """y = x, m = n."""
    onnx = pytest.importorskip("onnx")
    kinds = {"float32": onnx.TensorProto.FLOAT, "int64": onnx.TensorProto.INT64}

    def infos(specs: tuple[TensorSpec, ...]) -> list[object]:
        return [onnx.helper.make_tensor_value_info(s.name, kinds[s.dtype], ["batch", s.shape[1]]) for s in specs]

    nodes = [onnx.helper.make_node("Identity", [a], [b]) for a, b in (("x", "y"), ("n", "m"))]
    graph = onnx.helper.make_graph(nodes, "stage", infos(IN), infos(OUT))
    opset = [onnx.helper.make_opsetid("", 17)]
    return bytes(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())


def litert_stage() -> bytes:
    """The same. Where there is no package to write one, it lies in a file that somebody else wrote."""
    written = os.environ.get("PARTWAY_TEST_TFLITE")
    if written is not None:
        return Path(written).read_bytes()
    pytest.importorskip("ai_edge_litert")
    from tests.support.tflite_models import identity

    return identity(list(zip(IN, OUT, strict=True)))


def torch_stage() -> bytes:
    """ONNX's, which the engine torch runs."""
    pytest.importorskip("torch")
    return onnx_stage()


STAGES: dict[str, Callable[[], bytes]] = {
    "onnx": onnx_stage,
    "litert": litert_stage,
    "torch": torch_stage,
    "fake": lambda: fake_stage(IN, OUT),
}


engines = pytest.mark.parametrize("name", STAGES)


def values(batch: int = 1) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Inputs that fit the stage."""
    x = np.arange(3 * batch, dtype=np.float32).reshape(batch, 3)
    return {"x": x, "n": np.arange(2 * batch, dtype=np.int64).reshape(batch, 2)}


@engines
def test_an_engine_says_what_it_is(name: str) -> None:
    """Name, version and threads are known without loading anything."""
    engine: Engine = engine_for(name, 2)
    assert (engine.name, engine.threads) == (name, 2)
    assert engine.version
    assert engine_for(name).threads >= 1


@engines
def test_a_stage_describes_its_tensors(name: str) -> None:
    """Inputs and outputs have the names, dtypes and shapes of the stage file, None where a dimension is dynamic."""
    stage = engine_for(name, 1).load(STAGES[name]())
    assert (stage.inputs, stage.outputs) == (IN, OUT)


@engines
@pytest.mark.parametrize("batch", [1, 5])
def test_a_stage_makes_every_output_and_ignores_what_it_does_not_read(name: str, batch: int) -> None:
    """All outputs by name, of the announced dtype and shape; values of other stages do not disturb."""
    stage = engine_for(name, 1).load(STAGES[name]())
    made = stage.run({**values(batch), "other": np.zeros(9)})
    assert made.keys() == {"y", "m"}
    assert all(spec.accepts(made[spec.name].shape, made[spec.name].dtype.name) for spec in OUT)
    assert made["y"].shape == (batch, 3)
    assert np.array_equal(made["y"], values(batch)["x"])


@engines
def test_a_stage_reads_arrays_that_may_not_be_written(name: str) -> None:
    """Tensors off the wire are read-only views at any offset; results do not depend on that."""
    stage = engine_for(name, 1).load(STAGES[name]())
    given = values(2)
    for offset in range(1, 8):
        message = bytes(offset) + given["x"].tobytes()
        x = np.frombuffer(message, np.float32, offset=offset).reshape(2, 3)
        assert np.array_equal(stage.run({**given, "x": x})["y"], given["x"])


@engines
def test_a_stage_may_be_called_from_several_threads(name: str) -> None:
    """Each caller gets its own answer."""
    stage = engine_for(name, 1).load(STAGES[name]())
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda batch: stage.run(values(batch))["y"], range(1, 40)))
    assert all(np.array_equal(y, values(batch)["x"]) for batch, y in enumerate(made, 1))


@engines
@pytest.mark.parametrize("damage", ["nothing", "text", "cut short", "noise"])
def test_what_is_no_stage_is_refused(name: str, damage: str) -> None:
    """Any other bytes are one sentence, not a crash."""
    good = STAGES[name]()
    noise = np.random.default_rng(0).bytes(1000)
    bad = {"nothing": b"", "text": b"hello", "cut short": good[: len(good) // 2], "noise": noise}[damage]
    with pytest.raises(InputError, match="stage") as caught:
        engine_for(name, 1).load(bad)
    assert "\n" not in str(caught.value)


@engines
def test_answers_are_the_callers_to_keep(name: str) -> None:
    """What a run returned does not change with the next one, and may be written to without spoiling it."""
    stage = engine_for(name, 1).load(STAGES[name]())
    first = stage.run(values(2))["y"]
    kept = first.copy()
    second = stage.run({**values(2), "x": values(2)["x"] + 1})["y"]
    assert np.array_equal(first, kept)
    assert np.array_equal(second, kept + 1)


@engines
@pytest.mark.parametrize("order", [(1, 5, 2, 1), (64, 1, 64)])
def test_batches_of_any_size_follow_each_other(name: str, order: tuple[int, ...]) -> None:
    """A stage is not fixed to the size it ran first."""
    stage = engine_for(name, 1).load(STAGES[name]())
    for batch in order:
        assert np.array_equal(stage.run(values(batch))["y"], values(batch)["x"])


@engines
def test_arrays_in_any_memory_order_are_read_by_value(name: str) -> None:
    """A transposed or strided array gives what its copy would."""
    stage = engine_for(name, 1).load(STAGES[name]())
    given = values(6)
    for x in (np.asfortranarray(given["x"]), np.repeat(given["x"], 2, axis=0)[::2]):
        assert np.array_equal(stage.run({**given, "x": x})["y"], given["x"])


def test_what_an_engine_can_do_besides_is_told_by_its_methods() -> None:
    """ONNX Runtime takes weights from a second file and times operators; the fake does neither."""
    pytest.importorskip("onnxruntime")
    engine = engine_for("onnx", 1)
    assert isinstance(engine, TakesData) and isinstance(engine, TimesOperators)
    assert not isinstance(FakeEngine(), TakesData) and not isinstance(FakeEngine(), TimesOperators)
    assert not isinstance(FakeEngine().load(fake_stage(IN, OUT)), StaysOnDevice)
