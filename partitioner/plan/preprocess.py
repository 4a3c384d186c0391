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
from partway.partitioner.plan.pictures.fits import DIGIT, is_fit
from partway.partitioner.plan.pictures.placing import placed, scaled
from partway.partitioner.plan.pictures.upright import opaque, upright
from partway.proto.tensors import TensorSpec
from partway.tasks.interface import Geometry

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
LAYOUTS = ("NCHW", "NHWC")
RGB, BGR, GREY = "RGB", "BGR", "GREY"
ORDERS = (RGB, BGR, GREY)
DIGIT_SHAPE = (28, 28, 1)
DIGIT_SIDE = 512
"""Digits are searched in pictures of at most this side; a decoder need not give more."""
DTYPES = ("float16", "float32", "float64", "uint8", "int8", "uint16", "int16", "int32", "int64")


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the tensor ``value``.

    ``fit``: ``stretch`` to the size, ``crop`` the centre after scaling the short side to ``crop_from`` (0: to the size
    itself), a letterbox (see ``pictures.fits``), ``digit`` as MNIST was made. ``order``: the tensor's channels, RGB,
    BGR or GREY (three equal ones); ``mean`` and ``std`` are in this order. A channel value p in 0..255 becomes
    ``(p * scale - mean) / std``.
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
    order: str = RGB

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pixels: height, width, channels."""
        return self.height, self.width, self.channels

    def pixels(self, picture: Image) -> Array:
        """uint8 [height, width, channels] of any Pillow picture."""
        return self.fitted(picture)[0]

    def fitted(self, picture: Image, original: tuple[int, int] | None = None) -> tuple[Array, Geometry]:
        """uint8 [height, width, channels] (RGB or grey) of any Pillow picture, and where the pixels lie in it.

        ``original``: width and height before a decoder reduced the picture, upright; by default the picture's own.
        Raises InputError for levels of an unknown range.
        """
        picture = upright(picture)
        size, original = (self.width, self.height), original or picture.size
        if self.fit == DIGIT:
            from partway.partitioner.plan.pictures.mnist_digit import digit_from_image

            scales = [now / max(1, before) for now, before in zip(size, original, strict=True)]
            return digit_from_image(picture).reshape(self.shape), Geometry(*original, *size, *scales)
        grey = self.channels == 1 or self.order == GREY
        image, geometry = placed(opaque(picture, "L" if grey else "RGB"), original, size, self.fit, self.crop_from)
        if grey and self.channels != 1:
            image = image.convert("RGB")
        return np.asarray(image).reshape(self.shape), geometry

    def fitted_array(self, image: Array) -> tuple[Array, Geometry]:
        """Like ``fitted``, of uint8 [height, width] or [height, width, channels]: grey, RGB or RGB with opacity."""
        shaped = image[:, :, None] if image.ndim == 2 else image
        if shaped.shape == self.shape and self.order != GREY:
            return np.ascontiguousarray(shaped), Geometry(self.width, self.height, self.width, self.height)
        from PIL import Image as Pillow

        return self.fitted(Pillow.fromarray(shaped[:, :, 0] if shaped.shape[2] == 1 else shaped))

    def least_size(self, original: tuple[int, int]) -> tuple[int, int]:
        """Width and height that a decoder must give at least of a picture of this size."""
        if self.fit == DIGIT:
            return DIGIT_SIDE, DIGIT_SIDE
        return scaled(original, (self.width, self.height), self.fit, self.crop_from)

    def tensor(self, pixels: Array) -> Array:
        """The input tensor, batch of one, of uint8 [height, width, channels] pixels (RGB or grey)."""
        if self.order == BGR:
            pixels = pixels[:, :, ::-1]
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
            **({} if self.order == RGB else {"order": self.order}),  # so that older plans keep their digests
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
            "fit": is_fit(self.fit) and (self.fit != DIGIT or self.shape == DIGIT_SHAPE),
            "order": self.order == RGB or (self.order in ORDERS and self.channels == 3),
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
