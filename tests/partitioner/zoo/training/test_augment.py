"""Training digits drawn a little differently each time."""


def test_augmentation_is_seeded_and_keeps_form(torch):
    """Same generator state, same digits; values stay within 0..1; the ink stays on the picture."""
    from partway.partitioner.zoo.training.augment import augmented

    images = torch.zeros(16, 1, 28, 28)
    images[:, :, 8:20, 12:15] = 1
    one, two = (augmented(images, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == images.shape
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert ((one - images).abs().sum(dim=(1, 2, 3)) > 1).all()
    assert (one.sum(dim=(1, 2, 3)) > 10).all()
