"""The modules of the zoo: torchvision's definitions, and our own for the others."""

from __future__ import annotations

from typing import Any

from partway.errors import InputError, MissingPackage
from partway.partitioner.formats.pytorch.package import import_torch, silenced
from partway.partitioner.zoo.catalogue import ZOO, ZooModel

OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}
"""Arguments of a definition that remove the outputs used only in training."""
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
SEED = 0
BUILDERS = {"ssdlite320": "ssdlite320_mobilenet_v3_large"}


def import_torchvision() -> Any:
    """The torchvision package. Raises MissingPackage.

    Its compiled operators do not load beside a torch built otherwise (the CPU build with the registry's torchvision);
    the definitions need none of them, only two declarations.
    """
    torch = import_torch()
    try:
        with silenced():
            try:
                import torchvision
            except RuntimeError:
                schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                for name in ("nms", "qnms"):
                    torch.library.define(f"torchvision::{name}", schema)
                import torchvision
    except ImportError as error:
        raise MissingPackage("the zoo's models need torchvision: pip install 'partway[zoo]'") from error
    return torchvision


def network(name: str, random: bool = False) -> Any:
    """The module of a model by name, in eval mode: trained weights through torchvision's hub, or random ones.

    Random ones are the same every time. Raises InputError when the weights cannot be fetched.
    """
    model = ZOO[name]
    torch = import_torch()
    if not random and not model.weights:
        raise InputError(
            f"nobody has published weights for {name}; add --random-weights (times and sizes are the same)"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        module = _built(model)
        if random:
            _fill(module)
    if not random:
        _load(module, model)
    return (_Heads(module) if name == "ssdlite320" else module).eval()


def _built(model: ZooModel) -> Any:
    if model.name == "unet":
        from partway.partitioner.zoo.unet import UNet

        return UNet()
    models = import_torchvision().models
    with silenced():
        if model.name == "ssdlite320":
            return models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
        return getattr(models, model.name)(weights=None, **OPTIONS.get(model.name, {}))


def _fill(module: Any) -> None:
    """Fill layers that a definition starts at zero (the transformer's head), which would answer zero to everything."""
    nn = import_torch().nn
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            nn.init.normal_(layer.weight, std=0.02)


def weights_of(model: ZooModel) -> Any:
    """torchvision's entry of the published weights: where they are, how they were trained."""
    models = import_torchvision().models
    return models.get_model_weights(BUILDERS.get(model.name, model.name))[model.weights]


def labels_of(model: ZooModel) -> list[str]:
    """The names of the classes, for classifiers."""
    return list(weights_of(model).meta["categories"]) if model.imagenet else []


def _load(module: Any, model: ZooModel) -> None:
    published = weights_of(model)
    try:
        with silenced():
            state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # many types: network, a full disk, a wrong digest
        raise InputError(
            f"the weights of {model.name} cannot be fetched ({error}); put {published.url.rpartition('/')[2]} into"
            f" {import_torch().hub.get_dir()}/checkpoints, or add --random-weights (times and sizes are the same)"
        ) from error
    module.load_state_dict({name: one for name, one in state.items() if not name.startswith(AUXILIARY)})
    if model.name in OPTIONS:
        module.transform_input = True  # torchvision sets it together with the trained weights


def _Heads(detector: Any) -> Any:  # noqa: N802 - a class that needs torch to be one
    """A detector up to its two heads: the data-dependent part after them is left to the caller."""
    torch = import_torch()

    class Heads(torch.nn.Module):  # type: ignore[misc,name-defined]
        """float32 [N, 3, 320, 320] in 0..1 to boxes [N, 3234, 4] (offsets to the anchors) and class logits."""

        def __init__(self, detector: Any) -> None:
            super().__init__()
            self.backbone, self.head = detector.backbone, detector.head

        def forward(self, image: Any) -> dict[str, Any]:
            found = self.head(list(self.backbone(image * 2 - 1).values()))
            return {"boxes": found["bbox_regression"], "scores": found["cls_logits"]}

    return Heads(detector)
