"""How models with known heads usually take pictures: guesses, better than none, with the family's name for the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IMAGENET: Mapping[str, Any] = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True, slots=True)
class Usual:
    """Fields of Preprocess, and the models that take pictures so, in words; empty if nothing is known."""

    input: Mapping[str, Any] = field(default_factory=dict)
    models: str = ""


def _centred(mean: float, std: float) -> dict[str, Any]:
    return {"scale": 1.0, "mean": (mean,), "std": (std,)}


_PLAIN = {"scale": 1.0, "mean": (0.0,), "std": (1.0,)}
_ULTRALYTICS = {"scale": 1 / 255, "mean": (0.0,), "std": (1.0,), "order": "RGB", "fit": "letterbox-114"}
_NANODET = {"scale": 1.0, "mean": (103.53, 116.28, 123.675), "std": (57.375, 57.12, 58.395)}
HEADS: Mapping[str, Usual] = {
    "yolov5": Usual(_ULTRALYTICS, "YOLOv5"),
    "yolov8": Usual(_ULTRALYTICS, "Ultralytics' YOLO"),
    "yolox": Usual({**_PLAIN, "order": "BGR", "fit": "letterbox-114-topleft"}, "YOLOX"),
    "nanodet": Usual({**_NANODET, "order": "BGR", "fit": "stretch"}, "NanoDet"),
    "yunet": Usual({**_PLAIN, "order": "BGR", "fit": "stretch"}, "YuNet"),
    "scrfd": Usual({**_centred(127.5, 128.0), "order": "RGB", "fit": "letterbox-0-topleft"}, "SCRFD"),
    "ultraface": Usual({**_centred(127.0, 128.0), "order": "RGB", "fit": "stretch"}, "UltraFace"),
    "pnet": Usual({**_centred(127.5, 128.0), "order": "RGB", "fit": "stretch"}, "MTCNN"),
    "lists": Usual({**_centred(127.5, 127.5), "order": "RGB", "fit": "stretch"}, "SSD"),
    "db": Usual({**IMAGENET, "order": "BGR", "fit": "stretch"}, "PaddleOCR's detection"),
    "ctc": Usual(
        {"scale": 1 / 255, "mean": (0.5,), "std": (0.5,), "order": "BGR", "fit": "letterbox-128-topleft"},
        "PaddleOCR's recognition",
    ),
}
"""By the ``head`` of a plan's ``output`` entry.

Sources: the preprocessing in each project's own demo: ultralytics/yolov5, ultralytics/ultralytics, YOLOX
(demo/ONNXRuntime), nanodet (config), opencv_zoo (YuNet), insightface (SCRFD), Ultra-Light-Fast-Generic-Face-Detector,
MTCNN, TensorFlow's object detection (SSD), PaddleOCR (tools/infer).
"""


def usual_pictures(output: Mapping[str, Any]) -> Usual:
    """What is usual for the head of this ``output`` entry."""
    return HEADS.get(str(output.get("head", "")), Usual())


def range_in_words(scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """The range of a pixel in the tensor: ``pixels 0..1``, or by its numbers."""
    if mean == IMAGENET["mean"] and std == IMAGENET["std"]:
        return "ImageNet's mean and deviation"
    ends = [((255 * scale * end) - mean[0]) / std[0] for end in (0, 1)]
    if len(set(mean)) == len(set(std)) == 1:
        return f"pixels {ends[0]:.3g}..{ends[1]:.3g}"
    return f"mean {', '.join(f'{one:g}' for one in mean)} and deviation {', '.join(f'{one:g}' for one in std)}"
