"""Encodes the values of a cut as the bytes of a frame, for any split and codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from partway.edge.sources.files import Sample
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.image import encode_image, is_image_codec
from partway.proto.codecs.packing import blob, pack
from partway.proto.codecs.registry import RAW
from partway.proto.codecs.transform.codebook import codebook
from partway.proto.frame import Frame, encode_request
from partway.proto.header import Header, TensorHead

Array = np.ndarray[Any, Any]
STEPS = 16


class Encoder:
    """Makes the frames of one plan. ``deadline_ms`` is the deadline of frames made without ``remaining_s``."""

    def __init__(self, plan: Plan, deadline_ms: float | None = None) -> None:
        self.plan = plan
        self.preprocess = plan.preprocess
        self.book = codebook(plan.codecs)
        self._model, self._digest, self._deadline_ms = plan.model, plan.digest, deadline_ms

    def sends_pixels(self, k: int, codec: str) -> bool:
        """Whether this candidate sends the picture itself, so that the device makes no tensor of it."""
        return k == 0 and codec != RAW and is_image_codec(codec) and not self.plan.state

    def tensors(self, samples: Sequence[Sample]) -> Mapping[str, Array]:
        """The model's inputs for one or several samples, joined along the first axis."""
        inputs = [sample.tensors(self.preprocess) for sample in samples]
        if len(inputs) == 1:
            return inputs[0]
        return {name: np.concatenate([values[name] for values in inputs]) for name in inputs[0]}

    def frame(
        self,
        frame_id: str,
        k: int,
        codec: str,
        samples: Sequence[Sample],
        live: Mapping[str, Array],
        remaining_s: float | None = None,
    ) -> bytes:
        """The whole message, with the values of cut k out of ``live``, or with the samples' pixels.

        ``remaining_s`` is the time until the frame's deadline. It is rounded down to sixteenths of the deadline, so
        that headers repeat and both sides parse each only once.
        """
        if self.sends_pixels(k, codec):
            packed = [self._pictures(codec, samples)]
        else:
            state = self.plan.state_values
            packed = [
                pack(RAW if name in state else codec, name, live[name], self.book) for name in self.plan.cuts[k].values
            ]
        deadline_ms = self._deadline_ms
        if remaining_s is not None and deadline_ms:
            step_ms = deadline_ms / STEPS
            deadline_ms = max(min(remaining_s * 1e3, deadline_ms) // step_ms, 1) * step_ms
        header = _header(self._model, self._digest, k, codec, deadline_ms, tuple(head for head, _ in packed))
        return encode_request(Frame(header, frame_id, tuple(data for _, data in packed)))

    def _pictures(self, codec: str, samples: Sequence[Sample]) -> tuple[TensorHead, Any]:
        pixels = [sample.pixels for sample in samples if sample.pixels is not None]
        if self.preprocess is None or len(pixels) < len(samples):
            raise InputError(f"codec {codec} sends pictures, {samples[0].name} is none; use --codec raw")
        return blob(self.preprocess.value, *(encode_image(codec, picture) for picture in pixels))


@lru_cache(maxsize=256)
def _header(
    model: str, digest: str, k: int, codec: str, deadline_ms: float | None, heads: tuple[TensorHead, ...]
) -> Header:
    deadline = () if deadline_ms is None else (("partway.deadline_ms", float(deadline_ms)),)
    return Header(model, (("partway.plan", digest), ("partway.cut", k), ("partway.codec", codec), *deadline), heads)
