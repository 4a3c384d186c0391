"""Models to measure on: torchvision's definitions with random weights (times and sizes do not depend on them)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

OPTIONS: dict[str, dict[str, Any]] = {"googlenet": {"aux_logits": False, "init_weights": False}}
"""What a definition needs besides its name."""
SIDE = 224


def torchvision_models() -> Any:
    """torchvision.models; a build without its compiled operators lacks two declarations that its import wants."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision.models


def export(name: str, folder: Path) -> Path:
    """``folder/NAME.onnx``: opset 17, dynamic batch, one input of 3 × 224 × 224."""
    import torch

    path = folder / f"{name}.onnx"
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = getattr(torchvision_models(), name)(weights=None, **OPTIONS.get(name, {})).eval()
        torch.onnx.export(
            network,
            (torch.rand(1, 3, SIDE, SIDE),),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )
    return path
