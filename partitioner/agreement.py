"""Measure codecs on real frames: bytes, seconds, and what a lossy one costs.

The cost is the share of frames answered otherwise than by the unsplit model (its likeliest class), for models that
classify.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from partway.partitioner.chain import Chain
from partway.partitioner.plan import Plan
from partway.partitioner.preprocess import Preprocess
from partway.proto.codecs import RAW, codec_names, pack, packs, unpack
from partway.proto.images import PIXELS, decode_image, encode_image, is_image_codec

Array = np.ndarray[Any, Any]
IMAGE_CODECS = (PIXELS, "png", "webp-lossless", "jpeg90", "jpeg75", "webp75")


@dataclass(frozen=True, slots=True)
class Frame:
    """One calibration input: the model's tensors and, where it was a picture, its pixels."""

    values: Mapping[str, Array]
    pixels: Array | None = None


@dataclass(frozen=True, slots=True)
class _Trip:
    """One frame through one codec and back."""

    values: dict[str, Array]
    size_bytes: int
    encode_s: float
    decode_s: float


def codecs_of(plan: Plan, pictures: bool) -> list[tuple[int, str]]:
    """Every (k, codec) that makes sense: activation codecs at each split, image codecs at split 0."""
    activations = [
        (k, codec)
        for k in range(len(plan.stages))
        for codec in codec_names()
        if any(packs(codec, spec) for spec in plan.crossing(k))
    ]
    return [*activations, *((0, codec) for codec in IMAGE_CODECS if pictures)]


def measure_codecs(
    chain: Chain, preprocess: Preprocess | None, frames: Sequence[Frame], codecs: Iterable[tuple[int, str]]
) -> list[dict[str, Any]]:
    """One plan candidate per (k, codec): bytes_mean, encode_s, decode_s (medians), agreement, and the number of frames.

    ``agreement`` is None for models that do not classify.
    """
    value = chain.plan.output.get("value") if chain.plan.output.get("kind") == "classify" else None
    whole = [_likeliest(chain, frame.values, 0, value) for frame in frames]
    return [_entry(chain, preprocess, frames, whole, k, codec, value) for k, codec in codecs]


def _entry(
    chain: Chain,
    preprocess: Preprocess | None,
    frames: Sequence[Frame],
    whole: Sequence[int | None],
    k: int,
    codec: str,
    value: str | None,
) -> dict[str, Any]:
    trips = [_trip(chain, preprocess, frame, k, codec) for frame in frames]
    same = [_likeliest(chain, trip.values, k, value) == label for trip, label in zip(trips, whole, strict=True)]
    return {
        "k": k,
        "codec": codec,
        "bytes_mean": statistics.fmean(trip.size_bytes for trip in trips),
        "encode_s": statistics.median(trip.encode_s for trip in trips),
        "decode_s": statistics.median(trip.decode_s for trip in trips),
        "agreement": statistics.fmean(same) if value is not None else None,
        "frames": len(frames),
    }


def _trip(chain: Chain, preprocess: Preprocess | None, frame: Frame, k: int, codec: str) -> _Trip:
    if k == 0 and codec != RAW and is_image_codec(codec) and preprocess is not None and frame.pixels is not None:
        begun_s = perf_counter()
        body = encode_image(codec, frame.pixels)
        encoded_s = perf_counter()
        values = {preprocess.value: preprocess.tensor(decode_image(codec, memoryview(body), preprocess.shape))}
        return _Trip(values, len(body), encoded_s - begun_s, perf_counter() - encoded_s)
    live = chain.run(frame.values, 0, k)
    begun_s = perf_counter()
    packed = [(spec, *pack(codec, spec.name, live[spec.name])) for spec in chain.plan.crossing(k)]
    encoded_s = perf_counter()
    values = {spec.name: unpack(head, data, spec) for spec, head, data in packed}
    decoded_s = perf_counter()
    size = sum(len(data) for _, _, data in packed)
    return _Trip(values, size, encoded_s - begun_s, decoded_s - encoded_s)


def _likeliest(chain: Chain, values: Mapping[str, Array], k: int, value: str | None) -> int | None:
    if value is None:
        return None
    live = chain.run(values, k, len(chain.plan.stages))
    return int(np.argmax(live[value])) if value in live else None
