"""Picture files: of any kind, large, damaged, and what is no picture."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partway.errors import InputError
from partway.partitioner.plan.pictures.reading import LIMIT_VARIABLE, is_picture_file, read_picture, skipped
from partway.partitioner.plan.preprocess import Preprocess
from partway.tasks.interface import Geometry

CASES = Path(os.environ.get("PARTWAY_DATA") or Path(__file__).parents[5] / "shared" / "data").parent / "cases/pictures"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is absent")
COLOUR = Preprocess("image", 48, 64, 3)
GREY = Preprocess("image", 240, 320, 1)

PEAK = """
import resource, sys
from pathlib import Path
from PIL import Image, JpegImagePlugin
from partway.partitioner.plan.pictures.reading import read_picture
from partway.partitioner.plan.preprocess import Preprocess

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pixels, geometry = read_picture(Path(sys.argv[1]), Preprocess("image", 224, 224, 3, fit=sys.argv[2]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, geometry.width, geometry.height)
"""


def scene(size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A smooth picture whose four quarters differ."""
    corners = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [220, 220, 90]]], np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox", "letterbox-0-topleft"])
@pytest.mark.parametrize("number", [1, 3, 6, 8])
def test_a_reduced_jpeg_shows_what_the_whole_one_shows(tmp_path: Path, fit: str, number: int) -> None:
    """Pixels within a few levels, the geometry exactly, in every orientation."""
    path, exif = tmp_path / "big.jpg", Image.Exif()
    exif[0x0112] = number
    scene((1601, 1203)).save(path, quality=95, exif=exif)
    preprocess = Preprocess("image", 48, 64, 3, fit=fit)
    pixels, geometry = read_picture(path, preprocess)
    with Image.open(path) as picture:
        whole, whole_geometry = preprocess.fitted(picture)
    assert geometry == whole_geometry
    assert np.abs(pixels.astype(int) - whole).max() <= 6


def test_a_small_jpeg_is_decoded_whole(tmp_path: Path) -> None:
    """Bit by bit as before: a decoder reduces only what has more than twice the size that is needed."""
    path = tmp_path / "small.jpg"
    scene((200, 150)).save(path)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(read_picture(path, COLOUR)[0], COLOUR.pixels(picture))


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_a_jpeg_of_many_megapixels_takes_little_memory(tmp_path: Path, fit: str) -> None:
    """200 megapixels, as phones make them, take 600 MB decoded whole."""
    path = tmp_path / "huge.jpg"
    Image.new("RGB", (16320, 12240), (90, 120, 30)).save(path, quality=80)
    done = subprocess.run([sys.executable, "-c", PEAK, str(path), fit], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak_mb, width, height = map(int, done.stdout.split())
    assert (width, height) == (16320, 12240)
    assert peak_mb < 120


def test_more_megapixels_than_the_limit_are_refused_with_the_way_to_raise_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PNG is decoded whole; the limit counts what is decoded, so that a JPEG may have more."""
    scene((1500, 1000)).save(tmp_path / "a.png")
    scene((1500, 1000)).save(tmp_path / "a.jpg")
    scene((1500, 1000)).save(tmp_path / "b.jpg", progressive=True)
    monkeypatch.setenv(LIMIT_VARIABLE, "1")
    for name in ("a.png", "b.jpg"):
        says = f"picture .*{name} has 2 megapixels, at most 1 are decoded.*{LIMIT_VARIABLE}"
        with pytest.raises(InputError, match=says):
            read_picture(tmp_path / name, COLOUR)
    assert read_picture(tmp_path / "a.jpg", COLOUR)[1].width == 1500
    monkeypatch.setenv(LIMIT_VARIABLE, "2.5")
    assert read_picture(tmp_path / "a.png", COLOUR)[1].width == 1500


def test_a_limit_above_pillows_own_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow refuses twice its limit; our sentence says what helps, and it does."""
    scene((1500, 1000)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700_000)
    with pytest.raises(InputError, match=f"megapixels.*set {LIMIT_VARIABLE} to more"):
        read_picture(tmp_path / "a.png", COLOUR)
    monkeypatch.setenv(LIMIT_VARIABLE, "300")
    assert read_picture(tmp_path / "a.png", COLOUR)[1].width == 1500


def test_a_command_prints_no_warning_of_pillows(tmp_path: Path) -> None:
    """Pillow warns from 89 megapixels on; the limit here is another."""
    scene((12, 12)).save(tmp_path / "a.png")
    program = """
import sys
from pathlib import Path
from PIL import Image
from partway.partitioner.plan.pictures.reading import read_picture
from partway.partitioner.plan.preprocess import Preprocess
from partway.system.command import run_command

Image.MAX_IMAGE_PIXELS = 100
run_command("partway", lambda: len(read_picture(Path(sys.argv[1]), Preprocess("x", 4, 4, 3))) - 2)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", ["many", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_no_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """With the variable's name."""
    scene((10, 10)).save(tmp_path / "a.png")
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(InputError, match=f"{LIMIT_VARIABLE} is a number of megapixels"):
        read_picture(tmp_path / "a.png", COLOUR)


@pytest.mark.parametrize("name", ["a.avif", "a.jfif", "a.jpe", "a.webp", "a.gif", "a.tif", "a.bmp", "a.ppm", "a.png"])
def test_every_kind_that_pillow_reads_is_a_picture(tmp_path: Path, name: str) -> None:
    """By its suffix, and by its first bytes where the suffix is another."""
    path = tmp_path / name
    kind = "JPEG" if name in ("a.jfif", "a.jpe") else None
    scene((64, 48)).save(path, kind)
    assert is_picture_file(path)
    assert np.abs(read_picture(path, COLOUR)[0].astype(int) - COLOUR.pixels(scene((64, 48)))).mean() < 12
    if name != "a.ppm":
        assert is_picture_file(path.rename(tmp_path / "picture"))


def test_heic_is_read_with_pillow_heif(tmp_path: Path) -> None:
    """As iPhones write it."""
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    pillow_heif.from_pillow(scene((64, 48))).save(path)
    assert np.abs(read_picture(path, COLOUR)[0].astype(int) - COLOUR.pixels(scene((64, 48)))).mean() < 12


def test_heic_without_pillow_heif_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is installed or not on this machine."""
    path = tmp_path / "a.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    assert is_picture_file(path)
    with pytest.raises(InputError, match=r"a.HEIC is HEIC, which needs: pip install 'partway\[heic\]'"):
        read_picture(path, COLOUR)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.gif"])
def test_a_truncated_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    """It names the file."""
    whole = tmp_path / f"whole-{name}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(whole)
    data = whole.read_bytes()
    for share in (0, 3, len(data) // 2):
        (tmp_path / name).write_bytes(data[:share])
        with pytest.raises(InputError, match=rf"picture .*{name} cannot be read \(.*replace or remove it"):
            read_picture(tmp_path / name, COLOUR)


def test_of_an_animation_the_first_frame_counts(tmp_path: Path) -> None:
    """A GIF that becomes white is black."""
    frames = [Image.new("L", (64, 48), level) for level in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "a.gif", COLOUR)[0].max() == 0


def test_what_is_no_picture_is_counted_and_named() -> None:
    """In one line, at most five by name."""
    folder = Path("folder")
    assert skipped(folder, []) == ""
    assert skipped(folder, ["b.txt"]) == "folder folder: 1 of its entries is no picture and is not read: b.txt"
    many = skipped(folder, [f"{number}\n.txt" for number in range(9)])
    assert many.startswith("folder folder: 9 of its entries are no pictures") and many.endswith(r"4\n.txt and 4 more")
    assert "\n" not in many


def test_a_text_file_is_no_picture(tmp_path: Path) -> None:
    """Nor a file that cannot be opened, nor a folder."""
    (tmp_path / "a.txt").write_text("a picture of a dog")
    assert not any(map(is_picture_file, (tmp_path / "a.txt", tmp_path / "none", tmp_path)))


@needs_cases
@pytest.mark.parametrize("name", ["dark", "flat128"])
def test_16_bit_pictures_equal_their_8_bit_twins(name: str) -> None:
    """Not stretched to their brightest pixel."""
    deep, plain = (read_picture(CASES / f"grey{bits}_{name}.png", GREY)[0] for bits in (16, 8))
    np.testing.assert_array_equal(deep, plain)


@needs_cases
def test_the_same_scene_in_other_orientations_is_the_same_picture() -> None:
    """A JPEG turned three ways and a PNG."""
    scenes = [read_picture(CASES / name, COLOUR)[0].astype(int) for name in ("exif3.jpg", "exif8.jpg", "exif6.png")]
    assert max(np.abs(one - scenes[2]).mean() for one in scenes) < 4
    assert read_picture(CASES / "exif8.jpg", COLOUR)[1] == Geometry(320, 240, 64, 48, 0.2, 0.2)
