"""What the metadata of ONNX files says."""

from pathlib import Path

import pytest
from tests.support.architectures import ARCHITECTURES

from partway.engines.registry import engine_for
from partway.partitioner.formats.model_metadata import described
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.model_file.wishes import NO_WISHES
from partway.partitioner.slicing import open_model, plan_model
from partway.proto.tensors import TensorSpec

onnx = pytest.importorskip("onnx")

YOLO = {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "imgsz": "[16, 24]", "stride": "32"}


def size_of(spec: TensorSpec) -> tuple[int | None, ...]:
    """What a frame has: the usual size of dimensions that stay open."""
    return tuple(spec.usual or spec.shape)[1:]


def with_entries(entries: dict[str, str]) -> onnx.ModelProto:
    """A model of pictures of open size, [N, 3, H, W], with these entries."""
    model = ARCHITECTURES["mobile"]().model
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, entries)
    return model


def test_open_sizes_come_from_the_files_own_entries(save) -> None:
    """The user's shape counts before them."""
    path = save(with_entries(YOLO))
    assert size_of(open_model(path).graph.values["image"]) == (3, 16, 24)
    assert size_of(open_model(path, {"image": (1, 3, 32, 32)}).graph.values["image"]) == (3, 32, 32)


def test_entries_about_another_input_are_no_sizes(save) -> None:
    """Sizes are for a picture, an only input of four dimensions."""
    model = ARCHITECTURES["two_inputs"]().model if "two_inputs" in ARCHITECTURES else None
    if model is None:
        pytest.skip("no architecture of two inputs")
    onnx.helper.set_model_props(model, YOLO)
    assert open_model(save(model)).facts.sizes == {}


def test_paddles_characters_are_labels(save) -> None:
    """One a line, for the task text, with the preprocessing of PP-OCR."""
    facts = open_model(save(with_entries({"character": "a\nb\n好"})), {"image": (1, 3, 48, 64)}).facts
    assert (facts.labels, facts.task) == (("a", "b", "好"), "text")
    assert facts.input["order"] == "BGR" and facts.input["fit"] == "letterbox-128-topleft"


@pytest.mark.parametrize(
    ("entries", "pictures"),
    [
        ({"Image.NominalPixelRange": "NominalRange_0_255"}, {"scale": 1.0, "mean": (0.0,), "std": (1.0,)}),
        ({"image.nominalpixelrange": "normalized_1_1"}, {"scale": 1.0, "mean": (127.5,), "std": (127.5,)}),
        ({"Image.BitmapPixelFormat": "Bgr8"}, {"order": "BGR"}),
        ({"Image.BitmapPixelFormat": "Gray8", "author": "me"}, {}),
    ],
)
def test_onnxs_own_entries_say_range_and_order(save, entries: dict[str, str], pictures: dict[str, object]) -> None:
    """Keys and values in any case."""
    assert dict(open_model(save(with_entries(entries)), {"image": (1, 3, 16, 16)}).facts.input) == pictures


def test_a_real_detector_needs_no_options(data: Path, tmp_path: Path) -> None:
    """NudeNet's YOLOv8: size, letterbox, range, labels and the task are in its file, so that nothing is guessed."""
    path = data / "models" / "nudenet_yolov8n_320.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    source = open_model(path)
    plan = plan_model(source, (), tmp_path, "nudenet")
    plan = described(plan, load_folder(tmp_path, plan, engine_for("onnx")), NO_WISHES, source.facts)
    assert plan.input["fit"] == "letterbox-114" and (plan.input["height"], plan.input["width"]) == (320, 320)
    assert plan.guesses == () or "pixels" not in plan.guesses[0]
