"""PyTorch modules of models by name, with random and with published weights."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from partway.errors import InputError
from partway.partitioner.zoo.catalogue import ZOO
from partway.partitioner.zoo.networks import import_torchvision, network, weights_of

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
if find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)


def test_random_weights_are_the_same_every_time():
    """Two machines that make a model with random weights make the same."""
    torch.manual_seed(7)
    one, before = network("squeezenet1_1", True), torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(before, torch.rand(1))
    other = network("squeezenet1_1", True)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert sum(parameter.numel() for parameter in one.parameters()) == ZOO["squeezenet1_1"].parameters


def test_a_detector_has_boxes_and_scores():
    """Several outputs, by name, for each anchor; what decides by the data is left out."""
    detector = network("ssdlite320", True)
    with torch.no_grad():
        found = detector(torch.zeros(2, 3, 320, 320))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "boxes": (2, 3234, 4),
        "scores": (2, 3234, 91),
    }


def test_weights_that_cannot_be_had_are_told(monkeypatch, tmp_path):
    """Without a network, or where nobody published any: one sentence that names --random-weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(InputError, match=r"squeezenet1_1 cannot be fetched .*no network.*--random-weights"):
        network("squeezenet1_1")
    with pytest.raises(InputError, match=r"nobody has published weights for unet.*--random-weights"):
        network("unet")


def test_published_weights_are_loaded(monkeypatch, tmp_path):
    """A file that torchvision's hub has fetched before is taken; what only training reads of it is left."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    whole = import_torchvision().models.googlenet(weights=None, init_weights=False, aux_logits=True).eval()
    file = tmp_path / "hub" / "checkpoints" / weights_of(ZOO["googlenet"]).url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(whole.state_dict(), file)
    loaded = network("googlenet")
    assert loaded.transform_input and torch.equal(loaded.conv1.conv.weight, whole.conv1.conv.weight)
