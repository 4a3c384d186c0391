"""Any Pillow picture upright, with 8 bits a channel: EXIF orientation, transparency, palettes, 16 bits and floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
_ORIENTATION = 0x0112
_PLACES_OF_EXIF = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
_SWAPPING = (5, 6, 7, 8)
_LEAST_VALUE, _LARGEST_VALUE = 340, 341
"""Tags of TIFF: the declared range of the samples (TIFF 6.0, SMinSampleValue and SMaxSampleValue)."""


def upright(picture: Image) -> Image:
    """The picture as a viewer shows it: turned and mirrored by its EXIF orientation."""
    from PIL import Image as Pillow

    picture.load()  # readers that turn a picture themselves take the orientation away here
    transpose = Pillow.Transpose
    methods = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_270,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_90,
    }
    method = methods.get(orientation(picture))
    if method is None:
        return picture
    turned = picture.transpose(method)
    for place in _PLACES_OF_EXIF:  # or it would be turned again
        turned.info.pop(place, None)
    return turned


def orientation(picture: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where none can be read."""
    try:
        found = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises many kinds of errors, and the pixels are good without it
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def swaps_sides(picture: Image) -> bool:
    """Whether width and height change places when the picture is turned upright."""
    return orientation(picture) in _SWAPPING


def has_deep_levels(picture: Image) -> bool:
    """Whether the picture's levels are not 8-bit ones: 16 or 32 bits, or floats."""
    return picture.mode[:4] in ("I;16", "I", "F")


def opaque(picture: Image, mode: str) -> Image:
    """The picture in mode L or RGB: transparency over white, palettes and deep levels as 8 bits."""
    from PIL import Image as Pillow

    if has_deep_levels(picture):
        picture = Pillow.fromarray(np.rint(levels(picture)).astype(np.uint8))
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, "white"), rgba)
    return picture if picture.mode == mode else picture.convert(mode)


def levels(picture: Image) -> Array:
    """Grey levels 0..255, float32 [height, width], of a picture of deep levels, by its own range.

    16 bits are 0..65535. Floats and 32 bits have the range that a TIFF declares; else the smallest of 0..1 (floats),
    0..255 and 0..65535 that holds all values. Values that are no numbers are 0. Raises InputError for an unknown range.
    """
    values = np.nan_to_num(np.asarray(picture, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    least, largest = _declared(picture) or (0.0, _largest(picture.mode, float(values.max(initial=0))))
    return np.asarray(((values - least) * np.float32(255 / (largest - least))).clip(0, 255))


def _largest(mode: str, peak: float) -> float:
    if mode.startswith("I;16"):
        return 65535.0
    for largest in (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0):
        if peak <= largest:
            return largest
    raise InputError(f"a picture's levels go up to {peak:g}, and its range is unknown; save it with 8 or 16 bits")


def _declared(picture: Image) -> tuple[float, float] | None:
    tags = getattr(picture, "tag_v2", None) or {}
    try:
        ends = [tags[tag] for tag in (_LEAST_VALUE, _LARGEST_VALUE)]
        least, largest = (float(end[0] if isinstance(end, tuple) else end) for end in ends)
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return (least, largest) if least < largest else None
