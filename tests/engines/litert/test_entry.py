"""What is known of LiteRT's engine without its package."""

from partway.engines.litert.entry import LITERT


def test_channels_are_last_and_files_are_tried_first() -> None:
    """Its models are NHWC, it computes on the CPU alone, and a damaged file can end its process."""
    assert (LITERT.files, LITERT.layout, LITERT.devices) == ("litert", "NHWC", ("cpu",))
    assert LITERT.trusts_files
