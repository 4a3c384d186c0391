"""Where frames come from."""

import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from partway.edge.sources.files import PICTURES, Sample, open_source, random_source
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, plan_to_json
from partway.partitioner.plan.plan_file import load_plan, plan_from_json
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import model_folder
from partway.tasks.interface import Geometry

Array = np.ndarray[Any, Any]


def _plan(**change: Any) -> Plan:
    """The shipped model's plan, with another idea of its input."""
    data = plan_to_json(load_plan(model_folder("mnist")))
    return plan_from_json({**data, "input": {**data["input"], **change} if change else {}})


PICTURE_PLAN = _plan(fit="stretch")
TENSOR_PLAN = _plan()


def read(paths: Any, plan: Plan = PICTURE_PLAN) -> list[Sample]:
    """Every sample of some inputs, in order."""
    return [item.read() for item in open_source([str(path) for path in paths], plan)]


def _digit(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(_digit()),
        Image.fromarray(_digit()).convert("RGB"),
        Image.fromarray(_digit()).convert("RGBA"),
        Image.fromarray(_digit()).convert("P"),
        Image.fromarray(_digit().astype(np.uint16) * 257),
    ],
    ids=["grey", "RGB", "RGBA", "palette", "16 bits"],
)
def test_any_png_is_read(picture: Image.Image, tmp_path: Path) -> None:
    """Greys, colours, transparency, palettes and 16 bits give the model's own pixels."""
    picture.save(tmp_path / "p.png")
    (sample,) = read([tmp_path / "p.png"])
    assert sample.name == "p.png"
    assert sample.pixels is not None
    assert np.abs(sample.pixels[:, :, 0].astype(int) - _digit()).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_any_jpeg_is_read(mode: str, tmp_path: Path) -> None:
    """Grey and coloured JPEGs of another size are fitted."""
    Image.new("L", (100, 60), 200).convert(mode).save(tmp_path / "p.JPG", "JPEG")
    (sample,) = read([tmp_path / "p.JPG"])
    assert sample.pixels is not None
    assert sample.pixels.shape == (28, 28, 1)
    assert np.abs(sample.pixels.astype(int) - 200).max() <= 3


def test_a_folders_pictures_come_sorted(tmp_path: Path) -> None:
    """Files are taken by name, whatever the order they were written in; what is no picture is left out."""
    for name in ("b.png", "a.jpg", "10.png", "9.PNG", "C.webp"):
        Image.fromarray(_digit()).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [item.name for item in open_source([str(tmp_path)], PICTURE_PLAN)] == [
        "10.png", "9.PNG", "C.webp", "a.jpg", "b.png",
    ]  # fmt: skip


def test_inputs_come_in_the_order_they_were_given(tmp_path: Path) -> None:
    """Several inputs follow one another, each as often as it is named."""
    for name in ("a.png", "b.png"):
        Image.fromarray(_digit()).save(tmp_path / name)
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    assert [sample.name for sample in read([b, a, b])] == ["b.png", "a.png", "b.png"]


def test_a_picture_is_read_when_its_turn_comes(tmp_path: Path) -> None:
    """A damaged picture keeps no other from being listed or read; reading it says what is wrong."""
    Image.fromarray(_digit()).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:100])
    (tmp_path / "c.png").write_text("hello")
    (tmp_path / "d.png").write_bytes(b"")
    good, truncated, *foreign = open_source([str(tmp_path)], PICTURE_PLAN)
    assert good.read().name == "a.png"
    with pytest.raises(InputError, match=r"b\.png cannot be read \(image file is truncated"):
        truncated.read()
    for item in foreign:
        with pytest.raises(InputError, match="Pillow cannot read it"):
            item.read()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]), drawn=st.data())
def test_no_damaged_picture_ends_in_anything_but_a_sentence(kind: str, drawn: st.DataObject, tmp_path: Path) -> None:
    """Bytes of a picture overwritten or cut off anywhere: it is read, or refused with an InputError."""
    file = io.BytesIO()
    Image.fromarray(_digit()).save(file, kind)
    body = bytearray(file.getvalue())
    for _ in range(drawn.draw(st.integers(0, 4))):
        body[drawn.draw(st.integers(0, len(body) - 1))] = drawn.draw(st.integers(0, 255))
    path = tmp_path / "damaged.png"
    path.write_bytes(body[: drawn.draw(st.integers(0, len(body)))])
    try:
        (sample,) = read([path])
        assert sample.pixels is not None
        assert sample.pixels.shape == (28, 28, 1)
    except InputError as error:
        assert str(path) in str(error)


def _write_idx(path: Path, array: Array, code: int = 8) -> None:
    body = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)


@pytest.mark.parametrize("name", ["images-idx3-ubyte", "images-idx3-ubyte.gz"])
def test_idx_files_are_read_packed_or_plain(name: str, tmp_path: Path) -> None:
    """Every picture of an IDX file is a frame, named by its index."""
    images = np.stack([_digit(seed) for seed in range(3)])
    _write_idx(tmp_path / name, images)
    found = read([tmp_path / name])
    assert [sample.name for sample in found] == [f"{name}[{index}]" for index in range(3)]
    for sample, image in zip(found, images, strict=True):
        assert sample.pixels is not None
        np.testing.assert_array_equal(sample.pixels[:, :, 0], image)


def test_idx_pictures_of_another_size_are_fitted(tmp_path: Path) -> None:
    """An IDX file need not have the model's own size."""
    _write_idx(tmp_path / "big-idx3-ubyte", np.full((2, 50, 40), 7, np.uint8))
    for sample in read([tmp_path / "big-idx3-ubyte"]):
        assert sample.pixels is not None
        assert sample.pixels.shape == (28, 28, 1)
        assert (sample.pixels == 7).all()


def test_an_idx_file_of_labels_is_no_input(tmp_path: Path) -> None:
    """Labels where pictures are wanted are refused by name."""
    _write_idx(tmp_path / "labels-idx1-ubyte", np.zeros(5, np.uint8))
    with pytest.raises(InputError, match="holds 1-dimensional uint8"):
        read([tmp_path / "labels-idx1-ubyte"])


def test_the_real_test_set_is_read(data: Path) -> None:
    """MNIST's own test images are ten thousand frames that pass through untouched."""
    items = open_source([str(next((data / "mnist").glob("t10k-images*")))], load_plan(model_folder("mnist")))
    assert len(items) == 10_000
    first = items[0].read().pixels
    assert first is not None
    assert first.shape == (28, 28, 1)
    assert first.max() >= 254


@pytest.mark.parametrize(
    "shape", [(3, 28, 28), (3, 28, 28, 1), (3, 28, 28, 3), (3, 32, 30), (3, 32, 30, 1), (3, 9, 9, 4)]
)
@pytest.mark.parametrize("key", ["images", "image", "whatever"])
def test_npz_files_of_pictures_are_read(shape: tuple[int, ...], key: str, tmp_path: Path) -> None:
    """uint8 pictures of any size, grey or coloured, under any name are fitted like picture files."""
    arrays: dict[str, Any] = {key: np.full(shape, 255, np.uint8)}
    np.savez(tmp_path / "p.npz", **arrays)
    found = read([tmp_path / "p.npz"])
    assert [sample.name for sample in found] == ["p.npz[0]", "p.npz[1]", "p.npz[2]"]
    for sample in found:
        assert sample.pixels is not None
        assert sample.pixels.shape == (28, 28, 1)
        assert (sample.pixels == 255).all()


def test_labels_beside_pictures_are_left_alone(tmp_path: Path) -> None:
    """An .npz of images and labels gives its images."""
    np.savez(tmp_path / "p.npz", images=np.zeros((2, 28, 28), np.uint8), labels=np.arange(2))
    assert len(read([tmp_path / "p.npz"])) == 2


@pytest.mark.parametrize("plan", [PICTURE_PLAN, TENSOR_PLAN], ids=["model of pictures", "model of tensors"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("suffix", [".npz", ".NPZ", ".npy"])
def test_arrays_of_tensors_are_read(plan: Plan, dtype: str, suffix: str, tmp_path: Path) -> None:
    """Tensors are taken frame by frame in the model's own type, by name or as the only array there is."""
    array = np.arange(3 * 784).reshape(3, 1, 28, 28).astype(dtype)
    path = tmp_path / f"t{suffix}"
    with path.open("wb") as file:
        if suffix == ".npy":
            np.save(file, array)
        else:
            np.savez(file, image=array)
    found = read([path], plan)
    assert [sample.name for sample in found] == [f"t{suffix}[{index}]" for index in range(3)]
    for index, sample in enumerate(found):
        assert sample.values is not None
        assert sample.values["image"].dtype == np.float32
        np.testing.assert_array_equal(sample.values["image"], array[index : index + 1].astype(np.float32))
        assert sample.tensors(None) == sample.values


def test_a_folder_may_mix_pictures_and_arrays(tmp_path: Path) -> None:
    """A folder's arrays stand among its pictures by name."""
    Image.fromarray(_digit()).save(tmp_path / "b.png")
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 28, 28), np.uint8))
    np.save(tmp_path / "c.npy", np.zeros((1, 1, 28, 28), np.float32))
    assert [sample.name for sample in read([tmp_path])] == ["a.npz[0]", "a.npz[1]", "b.png", "c.npy[0]"]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"image": np.zeros((2, 3, 28, 28), np.float32)}, r"image must be \[frames, 1, 28, 28\], not \[3, 28, 28\]"),
        ({"image": np.zeros((2, 784), np.float32)}, "must be"),
        ({"image": np.float32(1)}, "must be"),
        ({"image": np.zeros((2, 1, 28, 28), complex)}, "must be numbers, not complex128"),
        ({"image": np.full((2, 1, 28, 28), "a")}, "must be numbers"),
        ({"a": np.zeros(1), "b": np.zeros(1)}, "lacks the model's input image; it holds a, b"),
        ({"image": np.full((1, 1, 28, 28), None)}, "cannot be read as numpy arrays"),
        ({"image": np.zeros((2, 3, 28, 28), np.uint8)}, "must be"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, Any], says: str, tmp_path: Path) -> None:
    """Wrong shapes, types or names are told at once, before anything runs."""
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(InputError, match=says):
        open_source([str(tmp_path / "t.npz")], PICTURE_PLAN)


@pytest.mark.parametrize("keep", [0, 4, 100, -30])
def test_a_truncated_npz_is_refused(keep: int, tmp_path: Path) -> None:
    """Cut off anywhere, an .npz ends in a sentence."""
    path = tmp_path / "t.npz"
    np.savez_compressed(path, image=np.random.default_rng(0).random((2, 1, 28, 28), np.float32))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="cannot be read as numpy arrays"):
        open_source([str(path)], PICTURE_PLAN)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    """A folder with nothing to read says what was looked for."""
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=f"holds no pictures .looked for {PICTURES[0]}"):
        open_source([str(tmp_path)], PICTURE_PLAN)


def test_a_missing_input_is_refused() -> None:
    """A path that does not exist is named."""
    with pytest.raises(InputError, match="input nowhere does not exist"):
        open_source(["nowhere"], PICTURE_PLAN)


def test_an_input_no_file_system_takes_is_refused() -> None:
    """A name too long for a file is refused with a sentence."""
    with pytest.raises(InputError, match="cannot be read"):
        open_source(["n" * 300], PICTURE_PLAN)


def test_a_model_of_tensors_takes_no_pictures(tmp_path: Path) -> None:
    """A picture for a model that takes none says what to give instead."""
    Image.fromarray(_digit()).save(tmp_path / "p.png")
    _write_idx(tmp_path / "i-idx3-ubyte", np.zeros((1, 28, 28), np.uint8))
    with pytest.raises(InputError, match="does not take pictures; give its input tensors"):
        open_source([str(tmp_path / "p.png")], TENSOR_PLAN)
    with pytest.raises(InputError, match="an IDX input is uint8 pictures"):
        open_source([str(tmp_path / "i-idx3-ubyte")], TENSOR_PLAN)


def test_every_picture_knows_where_its_pixels_lie(tmp_path: Path) -> None:
    """Files, pictures in arrays of any size, and random ones, so that boxes come back in the original's pixels."""
    plan = _plan(fit="letterbox-0")
    Image.new("L", (56, 28)).save(tmp_path / "a.png")
    np.savez(tmp_path / "b.npz", images=np.zeros((1, 28, 56), np.uint8))
    np.savez(tmp_path / "c.npz", images=np.zeros((1, 28, 28), np.uint8))
    wide, same = Geometry(56, 28, 28, 28, 0.5, 0.5, 0.0, 7.0), Geometry(28, 28, 28, 28)
    found = [sample.geometry for sample in read([tmp_path / name for name in ("a.png", "b.npz", "c.npz")], plan)]
    assert found == [wide, wide, same]
    assert next(random_source(plan, 1)).read().geometry == same


def test_random_input_fits_the_model() -> None:
    """Made-up frames are pictures for a model of pictures, else tensors; they differ, and come again the same."""
    pictures = [item.read() for item in random_source(PICTURE_PLAN, 3)]
    assert [sample.name for sample in pictures] == ["random 0", "random 1", "random 2"]
    assert len({sample.pixels.tobytes() for sample in pictures if sample.pixels is not None}) == 3
    (tensor,) = (item.read() for item in random_source(TENSOR_PLAN, 1))
    assert tensor.values is not None
    assert tensor.values["image"].shape == (1, 1, 28, 28)
    again = next(random_source(PICTURE_PLAN, 1)).read()
    assert again.pixels is not None
    assert pictures[0].pixels is not None
    np.testing.assert_array_equal(again.pixels, pictures[0].pixels)


def test_pixels_become_the_models_input() -> None:
    """A sample of pixels gives the tensor that the plan's preprocess makes of it."""
    preprocess = Preprocess.from_json(PICTURE_PLAN.input)
    assert preprocess is not None
    pixels = _digit()[:, :, None]
    np.testing.assert_array_equal(Sample("p", pixels).tensors(preprocess)["image"], preprocess.tensor(pixels))


def test_numbers_outside_the_models_type_cost_only_their_own_frame(tmp_path: Path) -> None:
    """They are refused when their turn comes, not wrapped round."""
    frames = np.zeros((3, 28, 28, 1), np.int64)
    frames[1, 0, 0, 0] = 300
    np.savez(tmp_path / "p.npz", image=frames)
    first, wrong, last = open_source([str(tmp_path / "p.npz")], load_plan(model_folder("mnist-int8")))
    for item in (first, last):
        values = item.read().values
        assert values is not None and values["image"].dtype == np.int8
    with pytest.raises(InputError, match=r"p\.npz\[1\]: image is int8, -128 to 127; 300 is outside"):
        wrong.read()
