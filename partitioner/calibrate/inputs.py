"""Real inputs to calibrate codecs on: a folder of pictures, or arrays, with their right classes where known."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from partway.errors import InputError, mapped
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.plan.inputs import frame_of, frames_of, random_frame
from partway.partitioner.plan.pictures.reading import is_picture_file, read_picture, skipped
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess

log = logging.getLogger("partway.partitioner")
Array = np.ndarray[Any, Any]
RANDOM_FRAMES = 8
IMAGES, LABELS = "images", "labels"


def read_frames(
    path: Path, plan: Plan, most: int, truth: Path | None = None, offset: int = 0
) -> list[CalibrationFrame]:
    """At most ``most`` calibration inputs, spread evenly over what there is. Raises InputError naming what is wrong.

    ``path`` is a folder of pictures, or an .npz file: ``images`` (uint8 [n, height, width, channels]) or one array per
    model input with frames along its first axis, and ``labels`` (int [n]) if known. ``truth`` is a JSON object, file
    name to class; ``offset`` is added to every class.
    """
    preprocess = plan.preprocess
    if path.suffix.lower() == ".npz" and path.is_file():
        return _arrays(path, plan, preprocess, most, offset)
    if preprocess is None:
        raise InputError("this model does not take pictures; give --calibrate an .npz file with its input tensors")
    if not path.is_dir():
        raise InputError(f"--calibrate {path} is no folder and no .npz file; give one with real inputs")
    classes = _read_truth(truth) if truth else {}
    files = _spread(_pictures(path), most)
    return [_picture(file, preprocess, classes.get(file.name), offset) for file in files]


def random_frames(plan: Plan) -> list[CalibrationFrame]:
    """Random frames: good for sizes and times, meaningless for answers."""
    rng = np.random.default_rng(0)
    preprocess = plan.preprocess
    if preprocess is None:
        return [CalibrationFrame(random_frame(plan, rng)) for _ in range(RANDOM_FRAMES)]
    pixels = [rng.integers(0, 256, preprocess.shape, dtype=np.uint8) for _ in range(RANDOM_FRAMES)]
    return [CalibrationFrame({preprocess.value: preprocess.tensor(picture)}, picture) for picture in pixels]


def _taken(items: Sequence[Any] | Array, most: int, plan: Plan) -> list[Any]:
    """At most ``most`` items: the first ones where frames are a sequence, else some of all."""
    return list(items[:most]) if plan.state else _spread(items, most)


def _spread(items: Sequence[Any] | Array, most: int) -> list[Any]:
    """Evenly spaced items, because data is often sorted by class."""
    count = min(most, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, by name; what else it holds is logged."""
    with mapped({OSError: InputError}, f"--calibrate {folder} cannot be read"):
        entries = sorted(folder.iterdir())
    files = [entry for entry in entries if is_picture_file(entry)]
    if not files:
        raise InputError(f"folder {folder} holds no pictures; give another with --calibrate")
    if sentence := skipped(folder, (entry.name for entry in entries if entry not in files)):
        _tell(sentence)
    return files


@cache
def _tell(sentence: str) -> None:
    """Warn once: cuts and codecs read the same folder."""
    log.warning("%s", sentence)


def _picture(file: Path, preprocess: Preprocess, label: int | None, offset: int) -> CalibrationFrame:
    pixels, _ = read_picture(file, preprocess)
    right_class = None if label is None else label + offset
    return CalibrationFrame({preprocess.value: preprocess.tensor(pixels)}, pixels, right_class)


def _read_truth(path: Path) -> dict[str, int]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): int(number) for name, number in data.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"--truth {path} is no JSON object of file names and class numbers ({error})") from error


def _arrays(path: Path, plan: Plan, preprocess: Preprocess | None, most: int, offset: int) -> list[CalibrationFrame]:
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--calibrate {path} cannot be read ({error}); write it with numpy.savez") from error
    labels = data.pop(LABELS, None)
    if IMAGES in data and preprocess is not None:
        frames = [_image(image, preprocess, path) for image in _spread(data[IMAGES], most)]
    else:
        frames = _tensors(path, plan, data, most)
    if labels is None:
        return frames
    if len(labels) != len(next(iter(data.values()))):
        raise InputError(f"{path} has {len(labels)} labels for another number of frames; write it again")
    classes = _spread(labels, most)
    return [CalibrationFrame(f.values, f.pixels, int(c) + offset) for f, c in zip(frames, classes, strict=True)]


def _image(image: Array, preprocess: Preprocess, path: Path) -> CalibrationFrame:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise InputError(f"{path}: images must be uint8 [n, height, width, channels], not {image.dtype} {image.shape}")
    pixels, _ = preprocess.fitted_array(image)
    return CalibrationFrame({preprocess.value: preprocess.tensor(pixels)}, pixels)


def _tensors(path: Path, plan: Plan, data: dict[str, Array], most: int) -> list[CalibrationFrame]:
    frames = _taken(frames_of(data, plan, str(path)), most, plan)
    if not frames:
        raise InputError(f"{path} holds no frames; write at least one")
    return [CalibrationFrame(frame_of(frame, plan, str(path))) for frame in frames]
