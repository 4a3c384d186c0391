"""Fit an 8-bit picture to the model's size, and say where its pixels came to lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from partway.partitioner.plan.pictures.fits import CROP, Letterbox, letterbox_of
from partway.tasks.interface import Geometry

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
"""Width and height in pixels."""


def placed(picture: Image, original: Size, size: Size, fit: str, crop_from: int = 0) -> tuple[Image, Geometry]:
    """The picture at ``size``, and the geometry of ``original``: the size before a decoder reduced the picture."""
    from PIL import Image as Pillow

    scaled_size = scaled(original, size, fit, crop_from)
    image = picture
    if picture.size != scaled_size:
        image = picture.resize(scaled_size, Pillow.Resampling.BILINEAR)
    left, top = _corner(scaled_size, size, letterbox_of(fit))
    if (box := letterbox_of(fit)) is not None and scaled_size != size:
        canvas = Pillow.new(picture.mode, size, _colour(box.colour, picture.mode))
        canvas.paste(image, (left, top))
        image = canvas
    elif scaled_size != size:
        image = image.crop((-left, -top, size[0] - left, size[1] - top))
    scale_x, scale_y = (now / before for now, before in zip(scaled_size, original, strict=True))
    return image, Geometry(*original, *size, scale_x, scale_y, float(left), float(top))


def scaled(original: Size, size: Size, fit: str, crop_from: int = 0) -> Size:
    """The whole picture's size after scaling, before anything is cut off or filled."""
    if original == size:
        return size
    if fit == CROP:
        return _covering(original, max(crop_from, *size))
    if letterbox_of(fit) is None:
        return size
    ratio = min(size[0] / original[0], size[1] / original[1])
    width, height = (max(1, min(most, round(side * ratio))) for side, most in zip(original, size, strict=True))
    return width, height


def _covering(original: Size, short: int) -> Size:
    """Scaled so that the short side has this length, as Pillow's ``ImageOps.cover`` rounds it."""
    width, height = original
    if width < height:
        return short, max(short, round(height / width * short))
    return max(short, round(width / height * short)), short


def _corner(scaled_size: Size, size: Size, box: Letterbox | None) -> tuple[int, int]:
    """Where the scaled picture's upper left corner lies in the model's input; negative where it is cut off."""
    (width, height), (wide, high) = scaled_size, size
    if box is None:
        return -((width - wide) // 2), -((height - high) // 2)
    return (0, 0) if box.topleft else ((wide - width) // 2, (high - height) // 2)


def _colour(colour: tuple[int, ...], mode: str) -> int | tuple[int, ...]:
    if mode == "L":
        return round(sum(colour) / len(colour))
    return colour * 3 if len(colour) == 1 else colour
