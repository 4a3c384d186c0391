"""The task ``segment``: which pixels of the picture belong to a class, or to an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError, MissingPackage
from partway.tasks.arrays.boxes import matched
from partway.tasks.arrays.planes import identity
from partway.tasks.arrays.reading import AGAIN, size_of, values_of
from partway.tasks.arrays.rle import decoded, encoded
from partway.tasks.arrays.wording import counted, rounded, short
from partway.tasks.heads.head import Reading
from partway.tasks.heads.mask_guess import recognise
from partway.tasks.heads.masks import HEADS, Found
from partway.tasks.interface import Geometry, Guess, OutputSpec, TaskEntry

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Mask:
    """Pixels of one class or object: run lengths of a mask of ``size`` (height, width), see ``arrays.rle``."""

    label: str
    index: int
    score: float
    size: tuple[int, int]
    counts: tuple[int, ...]

    @property
    def area(self) -> int:
        """How many pixels belong to it."""
        return sum(self.counts[1::2])

    @property
    def pixels(self) -> Array:
        """bool [height, width]."""
        return decoded(self.counts, self.size)

    def to_json(self) -> dict[str, Any]:
        """Label, class index, score, ``size`` [height, width] and COCO's uncompressed ``counts``."""
        return {
            "label": self.label,
            "index": self.index,
            "score": rounded(self.score),
            "size": list(self.size),
            "counts": list(self.counts),
        }


@dataclass(frozen=True)
class Masks:
    """Masks of one frame in the picture's pixels. ``objects``: several may have one class; else one mask a class."""

    found: tuple[Mask, ...]
    objects: bool = False

    def __len__(self) -> int:
        return len(self.found)

    @cached_property
    def masks(self) -> Array:
        """bool [n, height, width]."""
        return np.stack([mask.pixels for mask in self.found]) if self.found else np.zeros((0, 0, 0), bool)

    @property
    def scores(self) -> Array:
        """float64 [n]."""
        return np.array([mask.score for mask in self.found], np.float64)

    @property
    def classes(self) -> Array:
        """int64 [n]."""
        return np.array([mask.index for mask in self.found], np.int64)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(mask.label for mask in self.found)

    @property
    def xyxy(self) -> Array:
        """float64 [n, 4]: the upright boxes around the masks."""
        boxes = []
        for mask in self.masks:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if len(rows) else [0] * 4)
        return np.array(boxes, np.float64).reshape(-1, 4)

    def to_json(self) -> dict[str, Any]:
        """``masks``: each with its run lengths."""
        return {"masks": [mask.to_json() for mask in self.found]}

    @property
    def line(self) -> str:
        """Objects with their scores; of classes the share of the picture."""
        if self.objects:
            return counted((mask.label, mask.score) for mask in self.found)
        shares = [(short(mask.label), 100 * mask.area / max(sum(mask.counts), 1)) for mask in self.found]
        return ", ".join(f"{label} {share:.0f} %" for label, share in shares[:8]) or "nothing found"

    def to_supervision(self) -> Any:
        """``supervision.Detections``. Raises MissingPackage if that package is not installed."""
        try:
            import supervision
        except ImportError as error:
            raise MissingPackage("supervision is not installed; run `pip install supervision`") from error
        return supervision.Detections(
            xyxy=self.xyxy.astype(np.float32),
            mask=self.masks,
            confidence=self.scores.astype(np.float32),
            class_id=self.classes.astype(int),
            data={"class_name": np.array(self.labels, dtype=str)},
        )


class Segment:
    """Reads masks by a head of ``heads.masks``."""

    name = "segment"

    def __init__(self, head: str, reading: Reading, labels: Sequence[str]) -> None:
        self._head, self._reading, self._labels = HEADS[head], reading, labels

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Masks:
        """The masks, largest first for classes, best first for objects; empty ones are left out."""
        with np.errstate(all="ignore"):  # what is no number belongs to no mask
            place = geometry or (identity(self._reading.known_size) if self._reading.known_size else None)
            found = self._head.read(outputs, self._reading, place, self._labels)
        masks = [_mask(one) for one in found if one.pixels.any()]
        if not self._head.objects:
            masks.sort(key=lambda mask: -mask.area)
        return Masks(tuple(masks), self._head.objects)

    def agreement(self, result: Masks, reference: Masks) -> float:
        """Mean intersection over union: over classes, or over objects matched by overlap; unmatched ones count 0."""
        wanted = [mask.pixels for mask in reference.found]
        similar = np.zeros((len(result), len(wanted)))
        for row, mask in enumerate(result.found):
            pixels = mask.pixels
            for column, other in enumerate(reference.found):
                if mask.index == other.index and mask.size == other.size:
                    common = int(np.count_nonzero(pixels & wanted[column]))
                    similar[row, column] = common / (mask.area + other.area - common or 1)
        pairs = matched(similar, 1e-9)
        all_of_them = len(result) + len(reference) - len(pairs)
        return float(sum(similar[pair] for pair in pairs)) / all_of_them if all_of_them else 1.0

    def draw(self, picture: Image, result: Masks) -> Image:
        """Half-transparent colours, and each label at its mask's upper edge."""
        from partway.tasks.arrays.canvas import Canvas

        canvas = Canvas(picture)
        for row, mask in enumerate(result.found):
            canvas.mask(mask.pixels, row if result.objects else mask.index)
        for row, (mask, box) in enumerate(zip(result.found, result.xyxy, strict=True)):
            text = f"{short(mask.label)} {mask.score:.2f}" if result.objects else short(mask.label)
            canvas.label((float(box[0]), float(box[1])), text, row if result.objects else mask.index)
        return canvas.picture


def _mask(one: Found) -> Mask:
    size = (int(one.pixels.shape[0]), int(one.pixels.shape[1]))
    return Mask(one.label, one.index, one.score, size, tuple(encoded(one.pixels)))


def _make(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Segment:
    name = str(output.get("head", "classes"))
    if name not in HEADS:
        raise InputError(f"unknown head {name!r} of the task segment; known: {', '.join(HEADS)}; {AGAIN}")
    values = values_of(output, HEADS[name].roles, [spec.name for spec in outputs])
    labels = [str(label) for label in output.get("labels") or ()]
    HEADS[name].check(output)
    return Segment(name, Reading(values, output, size_of(output)), labels)


def _recognise(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    return recognise(outputs, input_size)


ENTRY = TaskEntry(_make, _recognise, "masks of classes or objects")
