"""A small data set in the form of MNIST."""

import gzip
import struct
from pathlib import Path

import numpy as np


def write_mnist(folder: Path, train: int = 256, test: int = 64) -> Path:
    """A data set in MNIST's form whose digits are bars at ten heights, half of the files gzipped."""
    dice = np.random.default_rng(3)
    for part, count in (("train", train), ("t10k", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = dice.integers(0, 40, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[3 + 2 * label : 6 + 2 * label, 4:24] = 255
        folder.mkdir(exist_ok=True)
        head = struct.pack(">4I", 0x803, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + images.tobytes(), 1))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels.tobytes())
    return folder
