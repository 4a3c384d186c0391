"""Real inputs for calibration: folders of pictures, and arrays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partway.edge.sources.files import open_source
from partway.errors import InputError
from partway.partitioner.calibrate.inputs import read_frames
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder


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


def test_pictures_are_read_as_a_run_reads_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Upright, by content where the suffix says nothing, and what is no picture is named."""
    plan = load_plan(model_folder("mnist"))
    plan = replace(plan, input={**plan.input, "fit": "letterbox-0"})
    scene = Image.fromarray(np.arange(40 * 60, dtype=np.uint16).reshape(40, 60).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    scene.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    scene.save(tmp_path / "b", "PNG")
    (tmp_path / "notes.txt").write_text("none")
    turned, plain = read_frames(tmp_path, plan, 5)
    assert turned.pixels is not None and plain.pixels is not None
    np.testing.assert_array_equal(turned.pixels, plain.pixels)
    for item in open_source([str(tmp_path)], plan):
        pixels = item.read().pixels
        assert pixels is not None
        np.testing.assert_array_equal(pixels, plain.pixels)
    assert [record.name for record in caplog.records] == ["partway.partitioner", "partway.edge"]
    assert all("1 of its entries is no picture and is not read: notes.txt" in text for text in caplog.messages)


def test_arrays_that_are_no_pictures_are_refused(mnist: Chain, tmp_path: Path) -> None:
    """Two channels are none."""
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 28, 28, 2), np.uint8))
    with pytest.raises(InputError, match=r"images must be uint8 \[n, .*, not uint8 \(28, 28, 2\)"):
        read_frames(tmp_path / "a.npz", mnist.plan, 5)
