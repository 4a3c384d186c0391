"""The catalogue of ``--model NAME``: names, inputs and sources of weights. Needs no other package."""

from __future__ import annotations

from dataclasses import dataclass

from partway.partitioner.plan.preprocess import Preprocess

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGE = "image"
RANDOM_WEIGHTS = "random (seed 0)"
"""The ``weights`` entry of a plan with random weights."""


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One model that can be made by name.

    ``side``: its input is 3 × side × side; ``crop_from``: the short side of a picture is scaled to this before the
    centre is cut out (0: the whole picture is stretched). ``weights``: the torchvision weights it is published with,
    empty where there are none to have. ``parameters``: how many numbers those are. ``answers``: what comes out.
    """

    name: str
    side: int
    crop_from: int
    weights: str
    parameters: int
    answers: str = "1000 ImageNet classes"
    imagenet: bool = True

    def preprocess(self) -> Preprocess:
        """The preprocessing of the published weights: see torchvision's ``Weights.transforms``."""
        fit = "crop" if self.crop_from else "stretch"
        plain = Preprocess(IMAGE, self.side, self.side, 3, fit=fit, crop_from=self.crop_from)
        if not self.imagenet:
            return plain
        return Preprocess(
            IMAGE, self.side, self.side, 3, fit=fit, crop_from=self.crop_from, mean=IMAGENET_MEAN, std=IMAGENET_STD
        )


V1, V2 = "IMAGENET1K_V1", "IMAGENET1K_V2"
ZOO: dict[str, ZooModel] = {
    model.name: model
    for model in (
        ZooModel("alexnet", 224, 256, V1, 61_100_840),
        ZooModel("vgg16", 224, 256, V1, 138_357_544),
        ZooModel("resnet18", 224, 256, V1, 11_689_512),
        ZooModel("resnet50", 224, 232, V2, 25_557_032),
        ZooModel("mobilenet_v2", 224, 232, V2, 3_504_872),
        ZooModel("mobilenet_v3_small", 224, 256, V1, 2_542_856),
        ZooModel("googlenet", 224, 256, V1, 6_624_904),
        ZooModel("inception_v3", 299, 342, V1, 23_834_568),
        ZooModel("densenet121", 224, 256, V1, 7_978_856),
        ZooModel("densenet161", 224, 256, V1, 28_681_000),
        ZooModel("efficientnet_b0", 224, 256, V1, 5_288_548),
        ZooModel("squeezenet1_1", 224, 256, V1, 1_235_496),
        ZooModel("vit_b_16", 224, 256, V1, 86_567_656),
        ZooModel("ssdlite320", 320, 0, "COCO_V1", 3_440_060, "3234 boxes and their 91 COCO classes", imagenet=False),
        ZooModel("unet", 128, 0, "", 1_927_042, "a mask of 2 classes", imagenet=False),
    )
}
