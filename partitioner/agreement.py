"""What a lossy codec costs: the share of frames that are answered like the unsplit model although a cut was coded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from partway.partitioner.chain import Chain
from partway.partitioner.preprocess import Preprocess
from partway.proto.codecs import RAW, pack, unpack
from partway.proto.images import decode_image, encode_image, is_image_codec

Array = np.ndarray[Any, Any]


def measure_agreement(
    chain: Chain, preprocess: Preprocess, pictures: Sequence[Array], value: str, codecs: Iterable[tuple[int, str]]
) -> list[dict[str, Any]]:
    """One entry per (k, codec): agreement of the likeliest class with the unsplit model, and the mean bytes of a frame.

    ``pictures`` are uint8 [height, width, channels]; ``value`` is the classifier's output.
    """
    tensors = [preprocess.tensor(picture) for picture in pictures]
    whole = [_likeliest(chain, {preprocess.value: tensor}, 0, value) for tensor in tensors]
    return [_entry(chain, preprocess, pictures, tensors, whole, k, codec, value) for k, codec in codecs]


def _entry(
    chain: Chain,
    preprocess: Preprocess,
    pictures: Sequence[Array],
    tensors: Sequence[Array],
    whole: Sequence[int],
    k: int,
    codec: str,
    value: str,
) -> dict[str, Any]:
    same = size = 0
    for picture, tensor, label in zip(pictures, tensors, whole, strict=True):
        if k == 0 and codec != RAW and is_image_codec(codec):
            body = encode_image(codec, picture)
            decoded = decode_image(codec, memoryview(body), preprocess.shape)
            values, coded = {preprocess.value: preprocess.tensor(decoded)}, len(body)
        else:
            values, coded = _through(chain, chain.run({preprocess.value: tensor}, 0, k), k, codec)
        same += _likeliest(chain, values, k, value) == label
        size += coded
    frames = len(pictures)
    return {"k": k, "codec": codec, "agreement": same / frames, "bytes_mean": size / frames, "frames": frames}


def _through(chain: Chain, live: dict[str, Array], k: int, codec: str) -> tuple[dict[str, Array], int]:
    """The values of cut k as they come out of the codec, and their coded bytes."""
    values, coded = {}, 0
    for spec in chain.plan.crossing(k):
        head, data = pack(codec, spec.name, live[spec.name])
        values[spec.name] = unpack(head, data, spec)
        coded += len(data)
    return values, coded


def _likeliest(chain: Chain, values: dict[str, Array], k: int, value: str) -> int:
    return int(np.argmax(chain.run(values, k, len(chain.plan.stages))[value]))
