"""Codecs of pictures, for split 0: raw pixels, PNG, JPEG and WebP, through Pillow.

A picture is uint8 [height, width, channels] with 1 or 3 channels, at the model's own input size.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from partway.errors import CodecError
from partway.proto.codecs import registry
from partway.proto.codecs.interface import Array, CodecFamily
from partway.proto.tensors import TensorSpec

PIXELS = "u8"
_QUALITY = "([1-9]?[0-9]|100)"
_MEASURED = (95, 90, 85, 80, 75, 65, 50)


def is_image_codec(name: str) -> bool:
    """Whether ``name`` packs pictures: ``u8``, ``png``, ``jpegQ`` and ``webpQ`` of a quality Q, ``webp-lossless``."""
    return registry.picture_codec(name) is not None


def is_lossless_image(name: str) -> bool:
    """Whether decoding gives back identical pixels."""
    codec = registry.picture_codec(name)
    return codec is not None and codec.lossless


def encode_image(codec: str, pixels: Array) -> bytes:
    """Coded bytes of a uint8 [height, width, channels] picture. InputError on an unknown codec name."""
    found = registry.picture_codec(codec)
    if found is None:
        raise registry.unknown_codec(codec, registry.picture_labels(), kind="image codec")
    return found.encode(pixels)


def decode_image(codec: str, body: memoryview, shape: tuple[int, int, int]) -> Array:
    """Inverse of encode_image: uint8 of exactly ``shape``. Raises CodecError before anything larger is decoded."""
    found = registry.picture_codec(codec)
    if found is None:
        raise CodecError(f"unknown image codec {codec!r:.40}")
    return found.decode(body, "uint8", shape)


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixels themselves."""

    name: str = PIXELS
    lossless: bool = True

    def packs(self, spec: TensorSpec) -> bool:
        """No tensors: pictures."""
        return False

    def fits(self, array: Array) -> bool:
        """A picture."""
        return _is_picture(array)

    def encode(self, array: Array) -> bytes:
        """See Codec."""
        return array.tobytes()

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """See Codec."""
        if len(body) != np.prod(shape):
            raise CodecError(f"a {shape[1]} x {shape[0]} picture takes {np.prod(shape)} bytes, {len(body)} came")
        return np.frombuffer(body, np.uint8).reshape(shape)


@dataclass(frozen=True, slots=True)
class Pillow:
    """One of Pillow's formats, with the options it is saved with."""

    name: str
    format: str
    lossless: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def packs(self, spec: TensorSpec) -> bool:
        """No tensors: pictures."""
        return False

    def fits(self, array: Array) -> bool:
        """A picture."""
        return _is_picture(array)

    def encode(self, array: Array) -> bytes:
        """See Codec."""
        from PIL import Image, WebPImagePlugin  # noqa: F401 - named, or Pillow imports all its forty formats to find it

        picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
        out = io.BytesIO()
        picture.save(out, self.format, **self.options)
        return out.getvalue()

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """A picture in any of the three formats. Raises CodecError before one of another size is decoded."""
        from PIL import Image, WebPImagePlugin  # noqa: F401 - as above

        try:
            with Image.open(io.BytesIO(body), formats=("PNG", "JPEG", "WEBP")) as picture:
                if picture.size != (shape[1], shape[0]):
                    size = f"{picture.size[0]} x {picture.size[1]}"
                    raise CodecError(f"the picture must be {shape[1]} x {shape[0]}, {size} came")
                decoded = picture.convert("L" if shape[2] == 1 else "RGB")
        except CodecError:
            raise
        except Exception:  # Pillow's plugins raise whatever a damaged file makes of them
            raise CodecError("the coded picture does not decode") from None
        return np.asarray(decoded, np.uint8).reshape(shape)


def _is_picture(array: Array) -> bool:
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] in (1, 3)


def _lossy(title: str, file_format: str, rank: int) -> CodecFamily:
    kind = file_format.lower()
    return CodecFamily(
        f"{kind}Q",
        kind + _QUALITY,
        f"pictures as {title} of a quality from 0 to 100",
        lambda name: Pillow(name, file_format, options={"quality": int(name.removeprefix(kind))}),
        tuple(f"{kind}{quality}" for quality in _MEASURED),
        pictures=True,
        rank=rank,
    )


U8 = CodecFamily(PIXELS, PIXELS, "pictures as their pixels", lambda _: Pixels(), pictures=True, rank=10)
PNG = CodecFamily(
    "png",
    "png",
    "pictures as PNG",
    lambda name: Pillow(name, "PNG", True, {"compress_level": 1}),
    pictures=True,
    rank=11,
)
LOSSLESS_WEBP = CodecFamily(
    "webp-lossless",
    "webp-lossless",
    "pictures as WebP without loss",
    lambda name: Pillow(name, "WEBP", True, {"lossless": True, "exact": True}),
    pictures=True,
    rank=12,
)
JPEG = _lossy("JPEG", "JPEG", 13)
WEBP = _lossy("WebP", "WEBP", 14)
