"""Real inputs for calibration: folders of pictures, and arrays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partway.errors import InputError
from partway.partitioner.calibrate.inputs import read_frames
from partway.partitioner.plan.chain import Chain


def test_inputs_come_from_folders_and_arrays(mnist: Chain, tmp_path: Path) -> None:
    """With their classes where those are told."""
    images = np.arange(4 * 28 * 28, dtype=np.uint32).reshape(4, 28, 28).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(4))
    found = read_frames(tmp_path / "a.npz", mnist.plan, 2, offset=1)
    assert [frame.label for frame in found] == [1, 3]
    assert found[1].pixels is not None
    assert np.array_equal(found[1].pixels[:, :, 0], images[2])
    (tmp_path / "d").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "d" / "x.png")
    (tmp_path / "t.json").write_text('{"x.png": 7}')
    assert read_frames(tmp_path / "d", mnist.plan, 5, tmp_path / "t.json")[0].label == 7


def test_inputs_that_cannot_be_used_are_named(mnist: Chain, tmp_path: Path) -> None:
    """One sentence each."""
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    (tmp_path / "t.json").write_text("[1]")
    (tmp_path / "d").mkdir()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "d" / "x.png")
    np.savez(tmp_path / "other.npz", z=np.zeros((2, 3)))
    np.savez(tmp_path / "labels.npz", images=np.zeros((2, 28, 28), np.uint8), labels=np.zeros(3))
    cases = [
        ((tmp_path / "none",), "no folder and no .npz"),
        ((tmp_path / "bad.npz",), "cannot be read"),
        ((tmp_path / "other.npz",), "lacks"),
        ((tmp_path / "labels.npz",), "3 labels"),
    ]
    for (path,), words in cases:
        with pytest.raises(InputError, match=words):
            read_frames(path, mnist.plan, 5)
    with pytest.raises(InputError, match="no JSON object"):
        read_frames(tmp_path / "d", mnist.plan, 5, tmp_path / "t.json")
