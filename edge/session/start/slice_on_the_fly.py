"""``edge-run --model FILE``: a model file is sliced once, and its plan kept beside the fetched stages."""

from __future__ import annotations

import hashlib
import mmap
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

import partway
from partway.engines.onnx_file.external_data import external_tensors
from partway.errors import InputError
from partway.partitioner.plan.model_format import SLICERS
from partway.partitioner.plan.plan_file import PLAN_FILE


def sliced_folder(model: Path, cache: Path | None) -> Path:
    """The folder with the plan of a model file, made in ``cache`` (None: a temporary folder) when it is not there yet.

    Raises InputError when the file is missing or cannot be sliced, or the ``partition`` extra is not installed.
    """
    digest = _digest(model)
    plans = (cache or Path(tempfile.mkdtemp(prefix="partway-"))) / "plans"
    target = plans / f"{model.stem}-{digest[:16]}-{partway.__version__}"
    if not (target / PLAN_FILE).is_file():
        plans.mkdir(parents=True, exist_ok=True)
        _slice(model, target)
    return target


def _digest(model: Path) -> str:
    """SHA-256 of the model file and of the data files it refers to: other weights are another model."""
    try:
        with model.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            beside = _data_files(model, file)
        for path in beside:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise InputError(f"model file {model} cannot be read ({error.strerror}); check the path") from error
    return digest.hexdigest()


def _data_files(model: Path, file: BinaryIO) -> list[Path]:
    """The files beside a model that hold its weights; those of a model that is refused anyway are not looked for."""
    homes = (model.parent.resolve(), model.resolve().parent)
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            places = {place for tensor in external_tensors(content) for place in tensor.locations}
    except (InputError, ValueError):  # no ONNX model, or an empty file
        return []
    paths = [(model.parent / place).resolve() for place in sorted(places)]
    return [path for path in paths if path.is_file() and any(path.is_relative_to(home) for home in homes)]


def _slice(model: Path, target: Path) -> None:
    """Into a folder of another name first, so that a plan is there whole or not at all."""
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=".part-"))
    try:
        SLICERS.get("file")(model, part)
        part.rename(target)
    except OSError as error:
        if not (target / PLAN_FILE).is_file():  # else another run was quicker
            raise InputError(f"the plan of {model} cannot be kept in {target.parent} ({error.strerror})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
