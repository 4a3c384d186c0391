"""Turn a picture into the model's input tensor, with one definition for device and cloud.

Two steps: ``pixels`` (any picture -> uint8 [height, width, channels] at the model's size) and ``tensor`` (pixels -> the
input tensor, through a table of 256 values a channel, so that device and cloud compute bit-equal tensors).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError
from partway.proto.tensors import TensorSpec

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
FITS = ("digit", "stretch", "crop")
LAYOUTS = ("NCHW", "NHWC")
DIGIT = (28, 28, 1)
DTYPES = ("float16", "float32", "float64", "uint8", "int8", "uint16", "int16", "int32", "int64")


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the tensor ``value``.

    ``fit``: ``stretch`` to the size, ``crop`` the centre after scaling the short side to ``crop_from`` (0: to the size
    itself), ``digit`` as MNIST was made. A channel value p in 0..255 becomes ``(p * scale - mean) / std``.
    """

    value: str
    height: int
    width: int
    channels: int
    layout: str = "NCHW"
    dtype: str = "float32"
    fit: str = "stretch"
    crop_from: int = 0
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pixels: height, width, channels."""
        return self.height, self.width, self.channels

    def pixels(self, picture: Image) -> Array:
        """uint8 [height, width, channels] of any Pillow picture."""
        if self.fit == "digit":
            from partway.partitioner.plan.mnist_digit import digit_from_image

            return digit_from_image(picture).reshape(self.shape)
        return np.asarray(self._fitted(_opaque(picture, "L" if self.channels == 1 else "RGB"))).reshape(self.shape)

    def _fitted(self, picture: Image) -> Image:
        from PIL import Image as Pillow
        from PIL import ImageOps

        size = (self.width, self.height)
        if picture.size == size:
            return picture
        if self.fit != "crop":
            return picture.resize(size, Pillow.Resampling.BILINEAR)
        short = max(self.crop_from, self.width, self.height)
        scaled = ImageOps.cover(picture, (short, short), Pillow.Resampling.BILINEAR)
        return _centre(scaled, size)

    def tensor(self, pixels: Array) -> Array:
        """The input tensor, batch of one, of uint8 [height, width, channels] pixels."""
        planes = pixels.transpose(2, 0, 1) if self.layout == "NCHW" else pixels
        return self._table_lookup(planes)[None]

    def _table_lookup(self, planes: Array) -> Array:
        if self._tables.shape[0] == 1:
            return np.asarray(self._tables[0].take(planes))
        axis = 0 if self.layout == "NCHW" else 2
        parts = np.split(planes, self.channels, axis)
        return np.concatenate([t.take(part) for t, part in zip(self._tables, parts, strict=True)], axis)

    @cached_property
    def _tables(self) -> Array:
        levels = np.arange(256, dtype=np.float64) * self.scale
        pairs = list(zip(self.mean, self.std, strict=True))
        table = np.stack([(levels - mean) / std for mean, std in (pairs[:1] if len(set(pairs)) == 1 else pairs)])
        if not np.issubdtype(np.dtype(self.dtype), np.floating):
            table = np.rint(table).clip(np.iinfo(self.dtype).min, np.iinfo(self.dtype).max)
        return np.ascontiguousarray(table.astype(self.dtype))

    def to_json(self) -> dict[str, Any]:
        """The ``input`` entry of a plan."""
        fields = ("value", "height", "width", "channels", "layout", "dtype", "fit", "crop_from", "scale")
        return {
            "kind": "image",
            **{f: getattr(self, f) for f in fields},
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preprocess | None:
        """Inverse of to_json; None for a plan whose input is no picture. Raises InputError on a damaged entry."""
        if data.get("kind") != "image":
            return None
        try:
            fields = {key: value for key, value in data.items() if key != "kind"}
            fields["mean"], fields["std"] = tuple(fields.get("mean", (0.0,))), tuple(fields.get("std", (1.0,)))
            preprocess = cls(**fields)
            wrong = preprocess._wrong()
        except (TypeError, OverflowError) as error:
            raise InputError(
                f"the plan's input entry is damaged ({error}); write it again with `partway plan`"
            ) from error
        if wrong:
            raise InputError(f"the plan's input entry is damaged ({wrong}); write it again with `partway plan`")
        return preprocess

    def _wrong(self) -> str:
        """The name of the first field with an invalid value, empty when all are valid."""
        sides, numbers = (self.height, self.width), (self.scale, *self.mean, *self.std)
        rules = {
            "value": isinstance(self.value, str),
            "height or width": all(type(side) is int and side > 0 for side in sides),
            "channels": self.channels in (1, 3),
            "crop_from": type(self.crop_from) is int,
            "fit": self.fit in FITS and (self.fit != "digit" or self.shape == DIGIT),
            "layout": self.layout in LAYOUTS,
            "dtype": self.dtype in DTYPES,
            "scale, mean or std": all(isinstance(number, int | float) and math.isfinite(number) for number in numbers),
            "mean or std": len(self.mean) in (1, self.channels) and len(self.mean) == len(self.std),
            "std": 0 not in self.std,
        }
        return next((name for name, right in rules.items() if not right), "")


def guess_preprocess(spec: TensorSpec) -> Preprocess | None:
    """The most likely preprocessing of a model's input; None when it cannot be a picture.

    Floats get 0 to 1, uint8 the pixels, int8 the pixels minus 128: the 256 steps of a quantized input are a picture's.
    """
    if len(spec.shape) != 4 or spec.dtype not in ("float32", "float16", "uint8", "int8"):
        return None
    scale = 1.0 if spec.dtype in ("uint8", "int8") else 1 / 255
    mean = (128.0,) if spec.dtype == "int8" else (0.0,)
    _, a, b, c = spec.usual or spec.shape
    if a in (1, 3) and b and c:
        return Preprocess(spec.name, b, c, a, "NCHW", spec.dtype, scale=scale, mean=mean)
    if c in (1, 3) and a and b:
        return Preprocess(spec.name, a, b, c, "NHWC", spec.dtype, scale=scale, mean=mean)
    return None


def _opaque(picture: Image, mode: str) -> Image:
    """Transparency over white, palettes and 16-bit greys to 8 bits."""
    from PIL import Image as Pillow

    if picture.mode[:4] in ("I;16", "I", "F"):
        grey = np.nan_to_num(np.asarray(picture, np.float64), posinf=0.0, neginf=0.0)
        peak = grey.max(initial=0)
        picture = Pillow.fromarray((grey * (255 / peak if peak > 255 else 1)).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, "white"), rgba)
    return picture if picture.mode == mode else picture.convert(mode)


def _centre(picture: Image, size: tuple[int, int]) -> Image:
    left, top = (picture.width - size[0]) // 2, (picture.height - size[1]) // 2
    return picture.crop((left, top, left + size[0], top + size[1]))
