"""What every engine promises, tried on each."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.support.extension import installed

from partway.engines.fake import fake_stage
from partway.engines.interface import NO_ENGINE, Engine
from partway.engines.registry import computes_on, cuda_engines, engine_for, files_of, layout_of
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


def test_an_unknown_engine_is_named() -> None:
    """The sentence lists those there are."""
    with pytest.raises(InputError, match="unknown engine 'tensorrt'; known: fake, litert, onnx, onnx-int8, torch"):
        engine_for("tensorrt")
    with pytest.raises(InputError, match=r"unknown engine 'onx'; did you mean 'onnx'\?"):
        engine_for("onx")


def test_what_is_known_of_an_engine_needs_no_package() -> None:
    """Files, layout and devices come from its entry, in a process that never imports the engine."""
    assert [files_of(name) for name in ("onnx", "onnx-int8", "litert", "torch", "fake")] == [
        *("onnx", "onnx-int8", "litert", "onnx", "fake")
    ]
    assert [layout_of(name) for name in ("onnx", "torch", "litert", "absent")] == ["NCHW", "NCHW", "NHWC", "NCHW"]
    assert cuda_engines() == ["onnx", "torch"]
    assert computes_on("litert", "cpu") and not computes_on("litert", "cuda") and not computes_on("absent", "cpu")
    assert files_of("absent") == "absent"
    script = (
        "import sys; from partway.engines.registry import cuda_engines, engine_entry, engine_names;"
        "cuda_engines(); [engine_entry(name) for name in engine_names()];"
        "print(sorted({'onnxruntime', 'torch', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_plan_of_measured_times_has_no_engine() -> None:
    """The sentence says what the plan is for."""
    with pytest.raises(InputError, match="nothing to run; `partway explain` takes it"):
        engine_for(NO_ENGINE)


EXTENSION = """
from partway.engines.fake import FakeEngine
from partway.engines.interface import EngineEntry

def make(threads, device, pace=1):
    return FakeEngine("pretend", str(pace), threads or 3)

PRETEND = EngineEntry("fake", make, layout="NHWC", devices=("cpu", "cuda"), options={"pace": 1})
"""


def test_an_engine_of_another_package_is_made_by_name(tmp_path: Path) -> None:
    """An entry point is enough; what is no entry is refused in a sentence, and Partway's names stay its own."""
    entries = {"pretend": "pretending:PRETEND", "number": "pretending:__name__", "onnx": "pretending:PRETEND"}
    environment = installed(tmp_path, "pretending", EXTENSION, {"partway.engines": entries})
    script = """
from partway.engines.registry import computes_on, engine_for, files_of, layout_of
from partway.errors import InputError
engine = engine_for("pretend", 0, "cpu", pace=7)
assert (engine.name, engine.version, engine.threads) == ("pretend", "7", 3)
assert (files_of("pretend"), layout_of("pretend"), computes_on("pretend", "cuda")) == ("fake", "NHWC", True)
assert engine_for("onnx", 1).name == "onnx"
try:
    engine_for("number")
except InputError as error:
    assert "no EngineEntry" in str(error)
else:
    raise SystemExit("an entry that is none was taken")
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr


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
