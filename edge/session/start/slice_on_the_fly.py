"""``edge-run --model FILE``: slices a model file once and stores its plan beside the fetched stages."""

from __future__ import annotations

import atexit
import hashlib
import logging
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import partway
from partway.engines.onnx_file.external_data import external_tensors
from partway.errors import InputError
from partway.partitioner.plan.model_file.model_format import SLICERS
from partway.partitioner.plan.model_file.wishes import NO_WISHES, Wishes
from partway.partitioner.plan.plan_file import PLAN_FILE
from partway.system.command import FULL

log = logging.getLogger("partway.edge")


class DiskFull(InputError):  # noqa: N818 - says what happened
    """There is no room for the plan."""


def sliced_folder(model: Path, cache: Path | None, wishes: Wishes = NO_WISHES) -> Path:
    """The folder with the plan of a model file, made in ``cache`` (None: a temporary folder) if it does not exist.

    Other ``wishes`` of the same file make another plan.
    Raises InputError when the file is missing or cannot be sliced, or the ``partition`` extra is not installed.
    """
    wished = f"-{wishes.digest[:16]}" if wishes.digest else ""
    name = f"{model.stem}-{_digest(model)[:16]}-{partway.__version__}{wished}"
    if cache is None:
        return _made(model, _temporary_folder() / "plans" / name, wishes)
    try:
        return _made(model, cache / "plans" / name, wishes)
    except DiskFull as error:
        target = _temporary_folder() / "plans" / name
        log.warning("%s; this run keeps it in %s", error, target.parents[1])
        return _made(model, target, wishes)


def _made(model: Path, target: Path, wishes: Wishes) -> Path:
    if not (target / PLAN_FILE).is_file():
        with _stored(model, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _slice(model, target, wishes)
    return target


def _temporary_folder() -> Path:
    """A folder that is removed when the process ends; in memory where there is such a place, else on disk."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder that only this user may enter
    folder = tempfile.mkdtemp(prefix="partway-", dir=memory if os.access(memory, os.W_OK) else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@contextmanager
def _stored(model: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not (target / PLAN_FILE).is_file():  # otherwise another run has made it meanwhile
            kind = DiskFull if error.errno in FULL else InputError
            raise kind(f"the plan of {model} cannot be stored in {target.parent} ({error.strerror})") from error


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
    finally:
        shutil.rmtree(part, ignore_errors=True)
