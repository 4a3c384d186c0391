"""The names of the ways to fit a picture to the model's size, as options and plans write them.

This module imports no numpy: options are checked before it is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

STRETCH, CROP, DIGIT = "stretch", "crop", "digit"
FITS = "stretch, crop, crop-SIZE, letterbox[-COLOUR][-topleft], digit"
"""The grammar in words. SIZE is the short side in pixels before the centre is cut; COLOUR is 0..255 or R,G,B."""

ULTRALYTICS_GREY = 114
_LETTERBOX = re.compile(r"letterbox(?:-(\d{1,3}(?:,\d{1,3},\d{1,3})?))?(-topleft)?")
_CROP = re.compile(r"crop-(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture keeps its proportions; ``colour`` (a level, or RGB) fills the rest.

    ``topleft`` puts the picture into the upper left corner, as YOLOX does. Otherwise it is in the middle.
    """

    colour: tuple[int, ...]
    topleft: bool


@lru_cache(maxsize=64)
def letterbox_of(fit: str) -> Letterbox | None:
    """The letterbox that a fit names, for example ``letterbox-114-topleft``; None for another fit."""
    match = _LETTERBOX.fullmatch(fit)
    if match is None:
        return None
    colour = tuple(int(level) for level in (match[1] or str(ULTRALYTICS_GREY)).split(","))
    return Letterbox(colour, match[2] is not None) if max(colour) <= 255 else None


def split_crop(fit: str) -> tuple[str, int]:
    """``crop-256`` as (``crop``, 256); any other fit with 0."""
    match = _CROP.fullmatch(fit)
    return (CROP, int(match[1])) if match else (fit, 0)


def is_fit(fit: object) -> bool:
    """Whether a plan may have this fit: ``crop-SIZE`` is one of options only."""
    return isinstance(fit, str) and (fit in (STRETCH, CROP, DIGIT) or letterbox_of(fit) is not None)
