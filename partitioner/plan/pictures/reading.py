"""Read picture files: large JPEGs at a reduced size, HEIC where pillow-heif is installed, nothing beyond the limit.

Pillow is imported when the first picture is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.errors import InputError
from partway.partitioner.plan.pictures.upright import swaps_sides

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from partway.partitioner.plan.preprocess import Preprocess
    from partway.tasks.interface import Geometry

HEIF = (".heic", ".heif", ".hif")
PICTURES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pnm",
    ".avif", *HEIF,
)  # fmt: skip
"""Suffixes of picture files."""

LIMIT_VARIABLE = "PARTWAY_MAX_MEGAPIXELS"
MOST_MEGAPIXELS = 128.0
"""Millions of pixels that a picture may have when it is decoded; 3 bytes each."""

REDUCING_GAP = 2
"""A decoder gives at least this times the size that is needed, so that reducing costs no visible quality."""

_JPEG_START = b"\xff\xd8\xff"
_STARTS = (_JPEG_START, b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_SHOWN_NAMES = 5


def read_picture(path: Path, preprocess: Preprocess) -> tuple[np.ndarray[Any, Any], Geometry]:
    """The pixels of a picture file as the model takes them, and where they lie in it. See ``Preprocess.fitted``.

    Raises InputError, naming the file, if it cannot be read or has more pixels than the limit.
    """
    try:
        with _opened(path) as picture:
            original = _reduced(picture, preprocess)
            _check_pixels(picture, original, path)
            return preprocess.fitted(picture, original)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"picture {path}: {error}") from error
    except Exception as error:  # for damaged files Pillow raises many kinds: struct.error, IndexError, TypeError
        raise InputError(f"picture {path} cannot be read ({reason(error)}); replace or remove it") from error


def is_picture_file(path: Path) -> bool:
    """Whether a file is a picture by its suffix, or without a known one by its first bytes."""
    if path.suffix.lower() in PICTURES:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start.startswith(_STARTS) or (start[:4] == b"RIFF" and start[8:] == b"WEBP") or _is_heif_or_avif(start)


def skipped(folder: Path, names: Iterable[str]) -> str:
    """One sentence that counts and names what in a folder is no input; empty if there is nothing."""
    ordered = sorted(names)
    if not ordered:
        return ""
    shown = ", ".join(name.encode("unicode_escape").decode("ascii") for name in ordered[:_SHOWN_NAMES])
    more = f" and {len(ordered) - _SHOWN_NAMES} more" if len(ordered) > _SHOWN_NAMES else ""
    verb = "is no picture and is" if len(ordered) == 1 else "are no pictures and are"
    return f"folder {folder}: {len(ordered)} of its entries {verb} not read: {shown}{more}"


def reason(error: Exception) -> str:
    """A reader's error in a few words."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "Pillow cannot read it" if "cannot identify" in text else text[:120]


def _opened(path: Path) -> Image:
    from PIL import Image as Pillow
    from PIL import JpegImagePlugin

    with path.open("rb") as file:
        start = file.read(12)
    if start.startswith(_JPEG_START):  # Pillow.open refuses JPEGs of 180 megapixels, which are decoded at an eighth
        return JpegImagePlugin.JpegImageFile(path)
    if _is_heif_or_avif(start):
        _register_heif(path, start)
    most = _most_megapixels() * 1e6
    if os.environ.get(LIMIT_VARIABLE) and Pillow.MAX_IMAGE_PIXELS is not None:
        Pillow.MAX_IMAGE_PIXELS = max(Pillow.MAX_IMAGE_PIXELS, int(most))
    try:
        return Pillow.open(path)
    except Pillow.DecompressionBombError as error:
        raise _too_large(path, "more than 178") from error


def _reduced(picture: Image, preprocess: Preprocess) -> tuple[int, int] | None:
    """Let a JPEG's decoder reduce the picture by 2, 4 or 8. Returns the upright size of the whole picture."""
    if picture.format not in ("JPEG", "MPO"):
        return None
    width, height = reversed(picture.size) if swaps_sides(picture) else picture.size
    wide, high = (side * REDUCING_GAP for side in preprocess.least_size((width, height)))
    picture.draft(None, (high, wide) if swaps_sides(picture) else (wide, high))
    return width, height


def _check_pixels(picture: Image, original: tuple[int, int] | None, path: Path) -> None:
    """Raise InputError if decoding takes more pixels than the limit; of a progressive JPEG the decoder holds all."""
    width, height = original if original and picture.info.get("progressive") else picture.size
    if width * height > _most_megapixels() * 1e6:
        raise _too_large(path, f"{width * height / 1e6:.0f}")


def _too_large(path: Path, megapixels: str) -> InputError:
    return InputError(
        f"picture {path} has {megapixels} megapixels, at most {_most_megapixels():g} are decoded; make it smaller, or"
        f" set {LIMIT_VARIABLE} to more"
    )


def _most_megapixels() -> float:
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        most = float(text) if text else MOST_MEGAPIXELS
    except ValueError:
        most = 0.0
    if not 0 < most < float("inf"):
        raise InputError(f"{LIMIT_VARIABLE} is a number of megapixels, for example 200, not {text!r}")
    return most


def _is_heif_or_avif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in _BRANDS


def _register_heif(path: Path, start: bytes) -> None:
    """Make Pillow read HEIC, or AVIF if it was built without. Raises InputError if no installed package can."""
    from PIL import Image as Pillow
    from PIL import features

    if start[8:12] in (b"avif", b"avis"):
        if not features.check("avif"):
            raise InputError(
                f"picture {path} is AVIF, which this Pillow cannot read; upgrade it: pip install -U pillow"
            )
        return
    if "HEIF" in Pillow.OPEN:
        return
    try:
        import pillow_heif
    except ImportError:
        raise InputError(f"picture {path} is HEIC, which needs: pip install 'partway[heic]'") from None
    pillow_heif.register_heif_opener()
