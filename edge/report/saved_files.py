"""``--save-outputs`` and ``--save-pictures``: a thread writes the outputs and the drawn pictures of frames.

The files are named when a frame is answered and written a little later, so a slow disk delays frames only while
WAITING frames wait for it. A file that cannot be written is reported once; the run goes on.
"""

from __future__ import annotations

import io
import logging
import queue
import re
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.edge.pipeline.result import OUTPUTS_FILE, PICTURE_FILE, FrameResult
from partway.errors import InputError
from partway.tasks.interface import Task

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger("partway.edge")
Array = np.ndarray[Any, Any]
WAITING = 4
LONGEST_NAME = 40
JPEG_QUALITY = 90
MOST_PIXELS = 50_000_000
"""A larger picture is not drawn: in RGB it takes more memory than a small device has."""


def make_folder(flag: str, folder: Path, inputs: Sequence[str]) -> None:
    """Make the folder of ``flag``. Raises InputError if it cannot be written, or if it is an input of this run."""
    probe = folder / ".partway-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{flag} {folder} cannot be written ({error.strerror}); give another folder") from error
    if any(_same(Path(text.removeprefix("watch:")), folder) for text in inputs):
        raise InputError(f"{flag} {folder} is an input of this run; give another folder")


def _same(input_path: Path, folder: Path) -> bool:
    try:
        return input_path.is_dir() and input_path.samefile(folder)
    except (OSError, ValueError):
        return False


class SavedFiles:
    """Writes the files of frames; as a context manager, it ends when all are written.

    ``outputs`` and ``pictures`` are folders; None writes none of them. ``inputs`` are files that no file replaces.
    ``prefix`` begins each file name.
    """

    def __init__(
        self, outputs: Path | None, pictures: Path | None, task: Task, inputs: Sequence[str] = (), prefix: str = ""
    ) -> None:
        self._outputs, self._pictures, self._task, self._prefix = outputs, pictures, task, prefix
        self._inputs = {Path(text).absolute() for text in inputs}
        self._warned: set[str] = set()
        self._work: queue.Queue[FrameResult | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="saving", daemon=True)

    def __enter__(self) -> SavedFiles:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._work.put(None)
        self._thread.join()

    def add(self, result: FrameResult) -> FrameResult:
        """Write the files of this frame later. Returns the result with their names, and without its picture."""
        named = replace(result, files=self._files(result))
        if named.files:
            self._work.put(named)
        return replace(named, picture=None)

    def _files(self, result: FrameResult) -> dict[str, str]:
        files: dict[str, str] = {}
        if result.outputs and self._outputs is not None:
            files[OUTPUTS_FILE] = self._name(self._outputs, result, ".npz")
        if result.answer is None or self._pictures is None:
            return files
        if result.picture is None:
            self._warn(
                "no picture", f"{result.name} is no picture, and is not drawn; --save-pictures draws on pictures"
            )
        else:
            files[PICTURE_FILE] = self._name(self._pictures, result, ".jpg")
        return files

    def _name(self, folder: Path, result: FrameResult, suffix: str) -> str:
        path = folder / f"{file_stem(result, self._prefix)}{suffix}"
        while path.absolute() in self._inputs:
            path = path.with_name(f"_{path.name}")
        return str(path)

    def _run(self) -> None:
        while (result := self._work.get()) is not None:
            for entry, content in ((OUTPUTS_FILE, _npz_of), (PICTURE_FILE, self._drawn)):
                if entry in result.files:
                    self._write(entry, Path(result.files[entry]), content, result)

    def _write(self, entry: str, path: Path, content: Callable[[FrameResult], bytes], result: FrameResult) -> None:
        try:
            _replace(path, content(result))
            self._warned.discard(entry)
        except OSError as error:
            self._warn(entry, f"{path} cannot be written ({error.strerror or error}); the run goes on without")
        except Exception as error:  # damaged pictures and tasks of other packages raise many kinds
            self._warn(entry, f"{path} is not written ({error!r}); the run goes on without")

    def _warn(self, what: str, sentence: str) -> None:
        """Log a warning, once while the same kind of file keeps failing."""
        if what not in self._warned:
            log.warning("%s", sentence)
        self._warned.add(what)

    def _drawn(self, result: FrameResult) -> bytes:
        assert result.picture is not None
        drawn, file = self._task.draw(_original(result.picture), result.answer), io.BytesIO()
        drawn.convert("RGB").save(file, "JPEG", quality=JPEG_QUALITY)
        return file.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write the file under another name first: whoever watches the folder sees complete files only."""
    part = path.with_name(f".part-{path.name}")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def file_stem(result: FrameResult, prefix: str = "") -> str:
    """A file name without folder and suffix: the frame's number, and what is safe of its name."""
    name = re.sub(r"\.[A-Za-z]{3,4}$", "", Path(result.name).name)
    name = re.sub(r"[^\w.-]+", "_", name).strip("._")[:LONGEST_NAME].rstrip("._")
    return f"{prefix}{result.id:06d}" + (f"_{name}" if name else "")


def started_prefix() -> str:
    """The present time as the beginning of file names, so that a service that starts again replaces no file."""
    return strftime("%Y%m%dT%H%M%SZ_", gmtime())


def _npz_of(result: FrameResult) -> bytes:
    """The outputs as a .npz file. Arrays of Python objects raise ValueError."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in result.outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return file.getvalue()


def _original(picture: Path | Array) -> Image:
    """The picture in RGB, upright, as the model sees it."""
    from PIL import Image as Pillow

    from partway.partitioner.plan.pictures.upright import opaque, upright

    if isinstance(picture, Path):
        with Pillow.open(picture) as file:
            if file.width * file.height > MOST_PIXELS:
                raise ValueError(f"{file.width} x {file.height} pixels are too many to draw on")
            return opaque(upright(file), "RGB")
    flat = picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    return opaque(Pillow.fromarray(np.ascontiguousarray(flat)), "RGB")
