"""Draws on a picture with Pillow: boxes with labels, polygons, points, masks. The one place that imports Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
COLOURS = (
    (230, 60, 50), (40, 130, 220), (40, 170, 80), (240, 160, 20), (150, 80, 200),
    (20, 180, 180), (230, 90, 170), (130, 110, 60), (110, 190, 30), (90, 100, 240),
)  # fmt: skip


def colour(index: int) -> tuple[int, int, int]:
    """A class's colour."""
    return COLOURS[index % len(COLOURS)]


class Canvas:
    """A copy of a picture (RGB); lines and letters are sized to it."""

    def __init__(self, picture: Image) -> None:
        from PIL import ImageDraw

        self.picture = picture.convert("RGB")
        if self.picture is picture:
            self.picture = picture.copy()
        self._draw = ImageDraw.Draw(self.picture)
        self._side = max(min(self.picture.size), 1)
        self._line = max(1, round(self._side / 200))

    @cached_property
    def _font(self) -> Any:
        """Pillow's own font; without FreeType, as in the slim images, its small bitmap of Latin letters."""
        from PIL import ImageFont, features

        if features.check_module("freetype2"):
            return ImageFont.load_default(max(10, round(self._side / 28)))
        return ImageFont.load_default_imagefont()

    def _letters(self, text: str) -> str:
        """The text as far as the font has its letters; others become ``?``."""
        from PIL.ImageFont import ImageFont

        return text.encode("latin-1", "replace").decode("latin-1") if isinstance(self._font, ImageFont) else text

    def box(self, box: Sequence[float], text: str, index: int) -> None:
        """A rectangle of left, top, right, bottom with its label above, or inside where there is no room."""
        left, top, right, bottom = box
        if right >= left and bottom >= top:
            self._draw.rectangle((left, top, right, bottom), outline=colour(index), width=self._line)
            self.label((left, top), text, index)

    def polygon(self, points: Sequence[Sequence[float]], text: str, index: int) -> None:
        """A closed line through points (x, y), with a label at the first."""
        outline = [(float(x), float(y)) for x, y in points]
        self._draw.line([*outline, outline[0]], fill=colour(index), width=self._line, joint="curve")
        self.label(outline[0], text, index)

    def label(self, at: tuple[float, float], text: str, index: int) -> None:
        """White letters on the class's colour, inside the picture."""
        text = self._letters(text)
        if not text:
            return
        right, bottom = self._draw.textbbox((0, 0), text, font=self._font)[2:]
        width, height = right + 2, bottom + 2
        x = max(0.0, min(at[0], self.picture.width - width))
        y = at[1] - height if at[1] >= height else max(0.0, min(at[1], self.picture.height - height))
        self._draw.rectangle((x, y, x + width, y + height), fill=colour(index))
        self._draw.text((x + 1, y), text, font=self._font, fill="white")

    def dot(self, x: float, y: float, index: int, small: bool = False) -> None:
        """A filled point; a small one where there are hundreds."""
        radius = self._line * (0.8 if small else 1.5)
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour(index))

    def bone(self, start: Sequence[float], end: Sequence[float], index: int) -> None:
        """A line between two points."""
        self._draw.line((*start, *end), fill=colour(index), width=self._line)

    def mask(self, mask: Array, index: int) -> None:
        """Half-transparent colour where ``mask``, bool [height, width] of the picture's size, is true."""
        from PIL import Image, ImageDraw

        height, width = min(mask.shape[0], self.picture.height), min(mask.shape[1], self.picture.width)
        pixels = np.array(self.picture)
        part, inside = pixels[:height, :width], mask[:height, :width].astype(bool)
        part[inside] = (part[inside] * 0.5 + np.array(colour(index)) * 0.5).astype(np.uint8)
        self.picture = Image.fromarray(pixels)
        self._draw = ImageDraw.Draw(self.picture)
