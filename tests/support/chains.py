"""Run stage files one after another with a plain ONNX Runtime, as anyone could."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def session(path: Path, plain: bool = False) -> onnxruntime.InferenceSession:
    """The file loaded on one thread; ``plain`` runs its operators just as they are written."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(sessions, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every stage in turn: what one makes is there, by name, for all after it."""
    values = dict(feeds)
    for one in sessions:
        names = [value.name for value in one.get_outputs()]
        reads = {value.name: values[value.name] for value in one.get_inputs()}
        values.update(zip(names, one.run(names, reads), strict=True))
    return values


def feeds_for(model: onnx.ModelProto, sizes: dict, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs of the model's types and shapes."""
    rng = np.random.default_rng(seed)
    weights = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        given = sizes.get(value.name)
        dims = value.type.tensor_type.shape.dim
        shape = [dim.dim_value or (given and given[at]) or batch for at, dim in enumerate(dims)]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        noise = rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, 50, shape)
        feeds[value.name] = noise.astype(dtype)
    return feeds


def agrees(got: np.ndarray, want: np.ndarray, exact: bool = False) -> bool:
    """Equal to the bit, or within 1e-5 of the largest number."""
    if got.dtype != want.dtype or got.shape != want.shape:
        return False
    if exact:
        return bool(np.array_equal(got, want))
    return bool(np.abs(got - want).max(initial=0) <= 1e-5 * np.abs(want).max(initial=1e-30))
