"""The U-Net of the zoo."""

import pytest

pytest.importorskip("torch")
import torch

from partway.partitioner.zoo.catalogue import ZOO
from partway.partitioner.zoo.unet import WIDTHS, UNet, double


@pytest.fixture(scope="module")
def net() -> UNet:
    """Random weights, always the same."""
    torch.manual_seed(0)
    return UNet().eval()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 24), (32, 16)])
def test_the_mask_has_the_pictures_size(net: UNet, height: int, width: int) -> None:
    """One number for each class and pixel, for every picture of the batch."""
    with torch.no_grad():
        assert net(torch.rand(3, 3, height, width)).shape == (3, 2, height, width)


def test_it_has_as_many_classes_as_asked_for() -> None:
    """Two unless told."""
    with torch.no_grad():
        assert UNet(5).eval()(torch.rand(1, 3, 8, 8)).shape[1] == 5


def test_pictures_of_a_batch_do_not_mix(net: UNet) -> None:
    """Each is answered as it would be alone."""
    pictures = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = net(pictures)
        for at in range(3):
            torch.testing.assert_close(together[at : at + 1], net(pictures[at : at + 1]), rtol=1e-4, atol=1e-5)


def test_what_the_encoder_saw_reaches_the_decoder_past_the_bottom(net: UNet) -> None:
    """With the bottom silenced two pictures still differ: the skip connections carry them."""
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        silent = net.down[-1].register_forward_hook(lambda _, __, out: out * 0)
        first, second = net(picture), net(picture.flip(3))
        silent.remove()
    assert not torch.allclose(first, second)


def test_the_catalogue_counts_its_parameters(net: UNet) -> None:
    """All of them."""
    assert sum(parameter.numel() for parameter in net.parameters()) == ZOO["unet"].parameters


def test_a_side_that_three_halvings_do_not_divide_is_no_input(net: UNet) -> None:
    """Twelve is divided twice only."""
    with pytest.raises(RuntimeError), torch.no_grad():
        net(torch.rand(1, 3, 12, 12))


def test_two_convolutions_keep_the_size_and_are_never_negative() -> None:
    """With as many channels as asked for."""
    with torch.no_grad():
        made = double(3, WIDTHS[0]).eval()(torch.rand(1, 3, 5, 7))
    assert made.shape == (1, WIDTHS[0], 5, 7)
    assert float(made.min()) >= 0
