"""What the metadata of an ONNX file says of its pictures and answers.

Ultralytics' entries, PaddleOCR's ``character``, and the image entries of ONNX itself
(https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from partway.partitioner.formats.onnx.inputs import model_inputs
from partway.partitioner.formats.onnx.lazy_file import ModelFile
from partway.partitioner.formats.ultralytics import is_ultralytics, ultralytics_facts
from partway.partitioner.plan.model_file.model_format import NO_FACTS, Facts
from partway.tasks.ultralytics import size_of

CHARACTERS = "character"
LONGEST_SIDE = 1 << 16
RANGES: Mapping[str, Mapping[str, Any]] = {
    "nominalrange_0_255": {"scale": 1.0, "mean": (0.0,), "std": (1.0,)},
    "normalized_0_1": {"scale": 1 / 255, "mean": (0.0,), "std": (1.0,)},
    "normalized_1_1": {"scale": 1.0, "mean": (127.5,), "std": (127.5,)},
}
ORDERS = {"rgb8": "RGB", "bgr8": "BGR"}
PADDLE_LINES: Mapping[str, Any] = {
    "scale": 1 / 255,
    "mean": (0.5,),
    "std": (0.5,),
    "order": "BGR",
    "fit": "letterbox-128-topleft",
}
"""PP-OCR's recognisers: -1..1 in OpenCV's order; a line of text keeps its proportions, the rest is 0.
Source: PaddleOCR, tools/infer/predict_rec.py, ``resize_norm_img``."""


def facts_of(file: ModelFile) -> Facts:
    """The facts in a file's metadata; none if it says nothing known."""
    entries = {entry.key: entry.value for entry in file.proto.metadata_props}
    if is_ultralytics(entries):
        facts = ultralytics_facts(entries)
        return Facts(facts.input, facts.labels, facts.task, _sizes(file, entries), facts.metadata)
    if entries.get(CHARACTERS):
        return Facts(PADDLE_LINES, tuple(entries[CHARACTERS].splitlines()), "text", metadata=entries)
    pictures = _image_entries(entries)
    return Facts(pictures) if pictures else NO_FACTS


def _sizes(file: ModelFile, entries: Mapping[str, str]) -> dict[str, tuple[int | None, ...]]:
    """The size of the only picture input, where it is open."""
    inputs, size = model_inputs(file.proto), size_of(entries)
    if len(inputs) != 1 or size is None or max(size) > LONGEST_SIDE:
        return {}
    dims = inputs[0].type.tensor_type.shape.dim
    if len(dims) != 4:
        return {}
    wanted = (None, 3, *size)
    return {inputs[0].name: tuple(None if dim.dim_value > 0 else side for dim, side in zip(dims, wanted, strict=True))}


def _image_entries(entries: Mapping[str, str]) -> dict[str, Any]:
    """Range and channel order by ONNX's own entries; keys and values are case insensitive."""
    plain = {key.lower(): value.lower() for key, value in entries.items()}
    found: dict[str, Any] = dict(RANGES.get(plain.get("image.nominalpixelrange", ""), {}))
    if order := ORDERS.get(plain.get("image.bitmappixelformat", "")):
        found["order"] = order
    return found
