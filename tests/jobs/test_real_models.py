"""Models that others trained, as people have them: each split answers like the plain runtime, here and over a cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import RealCloud

from partway.cli.main import main
from partway.edge import FrameResult, Session
from partway.engines.registry import engine_for
from partway.partitioner.formats.unsplit_model import without_axes_of_vectors
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.inputs import frame_of, random_frame
from partway.partitioner.plan.parity import relative_error, run_split, tolerance_of
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.plan.state import StreamState
from partway.proto.tensors import TensorSpec

pytestmark = pytest.mark.slow
Array = np.ndarray[Any, Any]
FRAMES = 2
TRIES = 5
"""On a busy machine the device may give up waiting and answer by itself."""


@dataclass(frozen=True)
class Case:
    """A file with the sizes and examples that it needs, and other sizes at which the same plan answers."""

    file: str
    options: tuple[str, ...] = ()
    also: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


CASES = (
    Case("models/aecmos.onnx", ("--shape", "input=1x3x128x160")),
    Case("models/ch_PP-OCRv4_det_infer.onnx", ("--shape", "x=1x3x320x320"), {"x": (1, 3, 256, 480)}),
    Case("models/ch_PP-OCRv4_rec_infer.onnx", ("--shape", "x=1x3x48x320"), {"x": (1, 3, 48, 416)}),
    Case("models/ch_ppocr_mobile_v2.0_cls_infer.onnx", ("--shape", "x=1x3x48x192")),
    Case("models/detect.tflite"),
    Case("models/mtcnn_pnet.onnx", ("--shape", "input_1=1x96x96x3"), {"input_1": (1, 120, 64, 3)}),
    Case("models/nudenet_yolov8n_320.onnx", ("--shape", "images=1x3x320x320"), {"images": (1, 3, 256, 384)}),
    Case("models/person_detect.tflite"),
    Case("models/selfie_segmentation.tflite"),
    Case("models/silero_vad_16k_op15.onnx", ("--shape", "input=1x576", "--example", "sr=16000")),
    Case("models/silero_vad_op18_ifless.onnx", ("--shape", "input=1x576", "--example", "sr=16000")),
    Case("models/yolox_nano.onnx"),
    Case("models/yolox_nano_int8_quantize.tflite"),
    Case("models/yunet_2026may.onnx", ("--shape", "input=1x3x320x320"), {"input": (1, 3, 192, 256)}),
    Case("tflite/kws_ref_model.tflite"),
    Case("tflite/kws_ref_model_float32.tflite"),
    Case("tflite/pretrainedResnet.tflite"),
    Case("tflite/pretrainedResnet_quant.tflite"),
    Case("tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite"),
)


def name_of(case: Case) -> str:
    """For the test's name."""
    return Path(case.file).name


@pytest.fixture(scope="module")
def sliced(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """The folder of a case's plan, sliced at its useful cuts."""
    folders: dict[str, Path] = {}

    def folder(case: Case) -> Path:
        if case.file not in folders:
            out = tmp_path_factory.mktemp("plans") / Path(case.file).stem
            assert main(["slice", str(data / case.file), *case.options, "--out", str(out)]) == 0
            folders[case.file] = out
        return folders[case.file]

    return folder


def picture(file: Path, spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    """A photograph as a tensor of this shape, in the range of the type; of floats 0 to 1."""
    first = shape[1] in (1, 3)
    channels, height, width = shape[1:] if first else (shape[3], *shape[1:3])
    with Image.open(file) as opened:
        pixels = np.asarray(opened.convert("L" if channels == 1 else "RGB").resize((width, height)), np.int16)
    pixels = pixels.reshape(height, width, channels)
    laid = (pixels.transpose(2, 0, 1) if first else pixels)[None]
    if spec.dtype == "float32":
        return (laid / np.float32(255)).astype(np.float32)
    return (laid - 128 if spec.dtype == "int8" else laid).astype(spec.dtype)


def frames(plan: Plan, data: Path, also: Mapping[str, tuple[int, ...]]) -> list[dict[str, Array]]:
    """Real photographs where the model takes pictures, noise otherwise; examples as the plan has them."""
    files = sorted((data / "imagenet").glob("*.JPEG"))[:FRAMES]
    rng = np.random.default_rng(0)
    found = []
    for file in files:
        values = {**random_frame(plan, rng), **StreamState(plan).values}
        for spec in plan.frame_inputs:
            shape = also.get(spec.name, spec.frame_shape())
            if len(shape) == 4 and {shape[1], shape[3]} & {1, 3} and "aec" not in plan.model:
                values[spec.name] = picture(file, spec, shape)
            elif shape != spec.frame_shape():
                values[spec.name] = rng.standard_normal(shape).astype(spec.dtype)
        found.append(values)
    return found


def by_cloud(session: Session, frame: Mapping[str, Array]) -> FrameResult:
    """The cloud's answer to a frame that begins a sequence."""
    for _ in range(TRIES):
        session.reset()
        if (result := session.infer(frame)).answered_by == "cloud":
            return result
    raise AssertionError(f"the device answered {TRIES} times")


def plain(file: Path, values: Mapping[str, Array], plan: Plan, scratch: Path) -> dict[str, Array]:
    """What ONNX Runtime or LiteRT itself answers, without Partway."""
    if file.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(values)), strict=True))
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(without_axes_of_vectors(file, scratch)))
    interpreter.allocate_tensors()
    for detail, name in zip(interpreter.get_input_details(), plan.inputs, strict=True):
        interpreter.set_tensor(detail["index"], values[name])
    interpreter.invoke()
    details = interpreter.get_output_details()
    return {name: interpreter.get_tensor(d["index"]) for name, d in zip(plan.outputs, details, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_each_split_answers_like_the_plain_runtime(
    case: Case, sliced: Callable[[Case], Path], data: Path, tmp_path: Path
) -> None:
    """At the usual size and, where the model has others, at another one; `partway verify` says the same."""
    folder = sliced(case)
    plan = load_plan(folder)
    chain = load_folder(folder, plan, engine_for(plan.engine, 1))
    for also in ({}, case.also) if case.also else ({},):
        for values in frames(plan, data, also):
            right = plain(data / case.file, values, plan, tmp_path)
            for k in plan.splits:
                found = run_split(chain, frame_of(values, plan, "frame"), k)
                errors = {name: relative_error(right[name], found[name]) for name in plan.outputs}
                assert max(errors.values()) <= tolerance_of(plan), (k, errors)
    assert main(["verify", str(folder), "--against", str(data / case.file), "--runs", "2"]) == 0


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_cloud_in_another_process_answers_alike(
    case: Case, sliced: Callable[[Case], Path], data: Path, start_cloud: Callable[..., RealCloud]
) -> None:
    """From all in the cloud to the last cut before the end, uncoded; sizes other than the usual one as well."""
    folder = sliced(case)
    plan = load_plan(folder)
    chain = load_folder(folder, plan, engine_for(plan.engine, 1))
    cloud = start_cloud("--models", str(folder), "--threads", "1")
    given = [*frames(plan, data, {}), *(frames(plan, data, case.also) if case.also else ())]
    for k in sorted({0, len(plan.stages) - 1}):
        with Session(folder, cloud=cloud.address, split=k, codec="raw", threads=1, timeout_s=60.0) as session:
            for values in given:
                brought = {spec.name for spec in plan.frame_inputs} - set(plan.examples)
                result = by_cloud(session, {name: values[name] for name in brought})
                right = run_split(chain, values, len(plan.stages))
                errors = {name: relative_error(right[name], np.asarray(result.outputs[name])) for name in plan.answers}
                assert max(errors.values()) <= tolerance_of(plan), (k, errors)
