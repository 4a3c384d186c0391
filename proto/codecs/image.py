"""How a picture is packed to cross the link at split 0: raw pixels, JPEG or WebP, through Pillow.

A picture is uint8 [height, width, channels] with 1 or 3 channels, at the model's own input size.
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np

from partway.errors import CodecError, InputError

Array = np.ndarray[Any, Any]
PIXELS = "u8"
_NAME = re.compile(r"(jpeg|webp)([1-9]?[0-9]|100)|webp-lossless|png")


def is_image_codec(name: str) -> bool:
    """Whether ``name`` packs pictures: ``u8``, ``png``, ``jpegQ`` and ``webpQ`` of a quality Q, ``webp-lossless``."""
    return name == PIXELS or _NAME.fullmatch(name) is not None


def is_lossless_image(name: str) -> bool:
    """Whether the very same pixels come out again."""
    return name in (PIXELS, "png", "webp-lossless")


def encode_image(codec: str, pixels: Array) -> bytes:
    """Coded bytes of a uint8 [height, width, channels] picture. InputError on an unknown codec name."""
    if codec == PIXELS:
        return pixels.tobytes()
    match = _NAME.fullmatch(codec)
    if match is None:
        raise InputError(f"unknown image codec {codec!r}; known: u8, png, jpeg75, webp75 (any quality), webp-lossless")
    from PIL import Image, WebPImagePlugin  # noqa: F401 - named, or Pillow imports all of its forty formats to find it

    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    out = io.BytesIO()
    if codec == "png":
        picture.save(out, "PNG", compress_level=1)
    elif codec == "webp-lossless":
        picture.save(out, "WEBP", lossless=True, exact=True)
    else:
        picture.save(out, "JPEG" if match[1] == "jpeg" else "WEBP", quality=int(match[2]))
    return out.getvalue()


def decode_image(codec: str, body: memoryview, shape: tuple[int, int, int]) -> Array:
    """Inverse of encode_image: uint8 of exactly ``shape``. Raises CodecError before anything larger is decoded."""
    if codec == PIXELS:
        if len(body) != shape[0] * shape[1] * shape[2]:
            raise CodecError(f"a {shape[1]} x {shape[0]} picture takes {np.prod(shape)} bytes, {len(body)} came")
        return np.frombuffer(body, np.uint8).reshape(shape)
    if not is_image_codec(codec):
        raise CodecError(f"unknown image codec {codec!r:.40}")
    from PIL import Image, WebPImagePlugin  # noqa: F401 - as above

    try:
        with Image.open(io.BytesIO(body), formats=("PNG", "JPEG", "WEBP")) as picture:
            if picture.size != (shape[1], shape[0]):
                came = f"{picture.size[0]} x {picture.size[1]}"
                raise CodecError(f"the picture must be {shape[1]} x {shape[0]}, {came} came")
            decoded = picture.convert("L" if shape[2] == 1 else "RGB")
    except CodecError:
        raise
    except Exception:  # Pillow's plugins raise whatever a damaged file makes of them
        raise CodecError("the coded picture does not decode") from None
    return np.asarray(decoded, np.uint8).reshape(shape)
