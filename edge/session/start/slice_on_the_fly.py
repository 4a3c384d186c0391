"""``edge-run --model FILE``: slices a model file once and stores its plan beside the fetched stages."""

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
from partway.partitioner.plan.wishes import NO_WISHES, Wishes


def sliced_folder(model: Path, cache: Path | None, wishes: Wishes = NO_WISHES) -> Path:
    """The folder with the plan of a model file, made in ``cache`` (None: a temporary folder) if it does not exist.

    Other ``wishes`` of the same file make another plan.
    Raises InputError when the file is missing or cannot be sliced, or the ``partition`` extra is not installed.
    """
    digest = _digest(model)
    plans = (cache or Path(tempfile.mkdtemp(prefix="partway-"))) / "plans"
    wished = f"-{wishes.digest[:16]}" if wishes.digest else ""
    target = plans / f"{model.stem}-{digest[:16]}-{partway.__version__}{wished}"
    if not (target / PLAN_FILE).is_file():
        plans.mkdir(parents=True, exist_ok=True)
        _slice(model, target, wishes)
    return target


def _digest(model: Path) -> str:
    """SHA-256 of the model file and of its data files: a model with other weights is another model."""
    try:
        with model.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            data_files = _data_files(model, file)
        for path in data_files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise InputError(f"model file {model} cannot be read ({error.strerror}); check the path") from error
    return digest.hexdigest()


def _data_files(model: Path, file: BinaryIO) -> list[Path]:
    """The data files beside a model that hold its weights; none for a file that is not ONNX."""
    folders = (model.parent.resolve(), model.resolve().parent)
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            locations = {location for tensor in external_tensors(content) for location in tensor.locations}
    except (InputError, ValueError):  # no ONNX model, or an empty file
        return []
    paths = [(model.parent / location).resolve() for location in sorted(locations)]
    return [path for path in paths if path.is_file() and any(path.is_relative_to(folder) for folder in folders)]


def _slice(model: Path, target: Path, wishes: Wishes) -> None:
    """Slice into a temporary folder, then rename it, so that no partial plan is ever visible."""
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=".part-"))
    try:
        SLICERS.get("file")(model, part, wishes)
        part.rename(target)
    except OSError as error:
        if not (target / PLAN_FILE).is_file():  # otherwise another run has made it meanwhile
            raise InputError(f"the plan of {model} cannot be stored in {target.parent} ({error.strerror})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
