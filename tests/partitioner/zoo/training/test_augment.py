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


def test_every_digit_is_drawn_another_way(torch):
    """Equal digits of one batch differ afterwards, and another generator draws others."""
    from partway.partitioner.zoo.training.augment import augmented

    images = torch.zeros(4, 1, 28, 28)
    images[:, :, 8:20, 12:15] = 1
    first, other = (augmented(images, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert not torch.equal(first, other)
    assert all(not torch.equal(first[0], one) for one in first[1:])


def test_an_empty_picture_stays_empty(torch):
    """Nothing is drawn where nothing was, and a full one stays within white."""
    from partway.partitioner.zoo.training.augment import augmented

    generator = torch.Generator().manual_seed(3)
    assert float(augmented(torch.zeros(3, 1, 28, 28), generator).abs().max()) == 0.0
    assert float(augmented(torch.ones(3, 1, 28, 28), generator).max()) <= 1.0


def test_a_digit_stays_where_it_can_be_read(torch):
    """Its centre of mass moves by a few pixels at the most."""
    from partway.partitioner.zoo.training.augment import augmented

    images = torch.zeros(32, 1, 28, 28)
    images[:, :, 8:20, 12:16] = 1
    made = augmented(images, torch.Generator().manual_seed(4))
    mass = made.sum((1, 2, 3))
    for axis, expected in ((2, 13.5), (3, 13.5)):
        places = torch.arange(28.0).reshape((1, 1, 28, 1) if axis == 2 else (1, 1, 1, 28))
        centre = (made * places).sum((1, 2, 3)) / mass
        assert float((centre - expected).abs().max()) < 5
