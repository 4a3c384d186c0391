"""Frames from pictures, folders of pictures, IDX and .npz files, and the samples shipped with a model."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from random import Random
from time import perf_counter
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np

from partway.edge.sources.source import Source
from partway.errors import InputError, mapped
from partway.partitioner.plan.inputs import frame_of, frames_of, random_frame
from partway.partitioner.plan.pictures import reading
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo.idx import is_idx, read_idx
from partway.tasks.interface import Geometry

log = logging.getLogger("partway.edge")
Array = np.ndarray[Any, Any]
PICTURES = reading.PICTURES
ARRAYS = (".npz", ".npy")


@dataclass(frozen=True, slots=True)
class Sample:
    """One input of the model: uint8 pixels at the model's input size, or the model's input tensors themselves.

    ``read_s``: seconds of decoding and scaling. ``live``: a camera or a pipe delivered it, so it ages while it waits.
    ``geometry``: where ``pixels`` lie in the original picture; None if unknown. ``original``: that picture, as the
    path of its file or as uint8 [height, width, channels]; None if it is not kept. ``begins``: it is the first frame of
    a sequence; a model that keeps state between frames begins anew.
    """

    name: str
    pixels: Array | None = None
    values: Mapping[str, Array] | None = None
    read_s: float = 0.0
    live: bool = False
    geometry: Geometry | None = None
    original: Path | Array | None = None
    begins: bool = False

    def tensors(self, preprocess: Preprocess | None) -> Mapping[str, Array]:
        """The model's inputs, batch of one."""
        if self.values is not None:
            return self.values
        assert preprocess is not None and self.pixels is not None
        return {preprocess.value: preprocess.tensor(self.pixels)}


@dataclass(frozen=True, slots=True)
class Item:
    """A sample that is read only when it is needed. ``read`` raises InputError if it cannot be read.

    ``late``: ``read`` may block for a long time until an input arrives.
    """

    name: str
    read: Callable[[], Sample]
    late: bool = False


def open_source(paths: Sequence[str], plan: Plan) -> list[Item]:
    """The items of ``--input``, in order; the files of a folder are sorted.

    Raises InputError at once if a path does not exist or holds nothing to read.
    """
    preprocess = plan.preprocess
    with mapped({OSError: InputError}, "the input cannot be read"):
        return [item for path in paths for item in _items(Path(path), plan, preprocess)]


def random_source(plan: Plan, frames: int) -> Iterator[Item]:
    """Random pixels or tensors that fit the plan."""
    preprocess = plan.preprocess
    numbers = Random(0)  # noqa: S311 - numpy's generators take 3 MB to import

    def read(name: str) -> Sample:
        if preprocess is not None:
            pixels = np.frombuffer(numbers.randbytes(prod(preprocess.shape)), np.uint8)
            return sample_of_pixels(name, pixels.reshape(preprocess.shape), preprocess)
        rng = np.random.default_rng(numbers.getrandbits(64))
        return Sample(name, values=random_frame(plan, rng))

    for index in range(frames):
        yield Item(f"random {index}", partial(read, f"random {index}"))


def _items(path: Path, plan: Plan, preprocess: Preprocess | None) -> Iterator[Item]:
    if not path.exists():
        raise InputError(f"input {path} does not exist; give a picture, a folder of pictures, an IDX or an .npz file")
    if path.is_dir():
        yield from _folder(path, plan, preprocess)
    elif path.suffix.lower() in ARRAYS:
        yield from _arrays(path, plan, preprocess)
    elif is_idx(path):
        yield from _idx(path, preprocess)
    else:
        yield _picture(path, preprocess)


def _folder(path: Path, plan: Plan, preprocess: Preprocess | None) -> Iterator[Item]:
    entries = sorted(path.iterdir())
    files = [file for file in entries if file.suffix.lower() in ARRAYS or reading.is_picture_file(file)]
    if not files:
        raise InputError(
            f"folder {path} holds no pictures (looked for {', '.join(PICTURES)}); give another with --input"
        )
    if sentence := reading.skipped(path, (entry.name for entry in entries if entry not in files)):
        log.warning("%s", sentence)
    for file in files:
        yield from _arrays(file, plan, preprocess) if file.suffix.lower() in ARRAYS else [_picture(file, preprocess)]


def picture_reader(plan: Plan) -> Callable[[Path], Sample]:
    """Reads pictures for this plan. Raises InputError for a model that takes none."""
    preprocess = plan.preprocess
    if preprocess is None:
        raise InputError("this model does not take pictures; give its input tensors as .npz files")
    return partial(_read_picture, preprocess=preprocess)


def _picture(path: Path, preprocess: Preprocess | None) -> Item:
    if preprocess is None:
        raise InputError(f"this model does not take pictures; give its input tensors as an .npz file instead of {path}")
    return Item(path.name, partial(_read_picture, path, preprocess))


def timed(begun_s: float, sample: Sample, live: bool = False) -> Sample:
    """The sample with ``read_s`` set to the seconds since ``begun_s``."""
    return replace(sample, read_s=perf_counter() - begun_s, live=live)


def _read_picture(path: Path, preprocess: Preprocess) -> Sample:
    begun_s = perf_counter()
    pixels, geometry = reading.read_picture(path, preprocess)
    return timed(begun_s, Sample(path.name, pixels, geometry=geometry, original=path))


def _idx(path: Path, preprocess: Preprocess | None) -> Iterator[Item]:
    images = read_idx(path)
    if preprocess is None or images.ndim != 3 or images.dtype != np.uint8:
        raise InputError(
            f"{path} holds {images.ndim}-dimensional {images.dtype}; an IDX input is uint8 pictures, three dimensions"
        )
    for index, image in enumerate(images):
        yield Item(f"{path.name}[{index}]", partial(sample_of_pixels, f"{path.name}[{index}]", image, preprocess))


def sample_of_pixels(name: str, image: Array, preprocess: Preprocess) -> Sample:
    """A picture of uint8 [height, width] or [height, width, channels], of any size."""
    begun_s = perf_counter()
    pixels, geometry = preprocess.fitted_array(image)
    return timed(begun_s, Sample(name, pixels, geometry=geometry, original=image))


def _arrays(path: Path, plan: Plan, preprocess: Preprocess | None) -> Iterator[Item]:
    """An array per model input (first axis: frames), or uint8 pictures [frames, height, width(, channels)]."""
    arrays = _load_arrays(path)
    specs = [spec for spec in plan.frame_inputs if spec.name not in plan.examples] or list(plan.frame_inputs)
    if len(arrays) == 1 and len(specs) == 1 and not set(arrays) & {spec.name for spec in specs}:
        arrays = {specs[0].name: next(iter(arrays.values()))}
    pictures = arrays.get("images", arrays.get(specs[0].name))
    if preprocess is not None and pictures is not None and _are_pictures(pictures):
        for index, image in enumerate(pictures):
            yield Item(f"{path.name}[{index}]", partial(sample_of_pixels, f"{path.name}[{index}]", image, preprocess))
        return
    for index, frame in enumerate(frames_of(arrays, plan, str(path))):
        label = f"{path.name}[{index}]"
        yield Item(label, partial(_read_tensors, label, frame, plan))


def _are_pictures(array: Array) -> bool:
    """Whether the array is uint8 [frames, height, width] or [frames, height, width, 1, 3 or 4 channels]."""
    return array.dtype == np.uint8 and (array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3, 4)))


def _read_tensors(name: str, frame: Mapping[str, Array], plan: Plan) -> Sample:
    return Sample(name, values=frame_of(frame, plan, name))


def _load_arrays(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:  # np.load leaves a damaged file open
            loaded = np.load(file, allow_pickle=False)
            return {path.stem: loaded} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,
        TokenError,
        SyntaxError,
    ) as error:
        raise InputError(
            f"{path} cannot be read as numpy arrays ({reading.reason(error)}); save it again with numpy.savez"
        ) from error


FILES = Source(lambda text, plan: iter(open_source([text], plan)), suffixes=(*PICTURES, *ARRAYS))
"""The source for files and folders."""
