"""``edge-run --model FILE``: a model file is sliced once, and its plan kept beside the fetched stages."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from pathlib import Path

import partway
from partway.engines.engine import engine_for
from partway.partitioner.chain import load_chain
from partway.partitioner.plan import PLAN_FILE, read_stage, save_plan
from partway.proto.errors import InputError

log = logging.getLogger("partway.edge")

SUFFIXES = (".onnx", ".tflite")


def is_model_file(model: str) -> bool:
    """Whether ``--model`` names a file of a format that can be sliced."""
    return Path(model).suffix.lower() in SUFFIXES


def sliced_folder(model: Path, cache: Path | None) -> Path:
    """The folder with the plan of a model file, made in ``cache`` (None: a temporary folder) when it is not there yet.

    Raises InputError when the file is missing or cannot be sliced, or the ``partition`` extra is not installed.
    """
    try:
        with model.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"model file {model} cannot be read ({error.strerror}); check the path") from error
    plans = (cache or Path(tempfile.mkdtemp(prefix="partway-"))) / "plans"
    target = plans / f"{model.stem}-{digest[:16]}-{partway.__version__}"
    if not (target / PLAN_FILE).is_file():
        plans.mkdir(parents=True, exist_ok=True)
        _slice(model, target)
    return target


def _slice(model: Path, target: Path) -> None:
    """Into a folder of another name first, so that a plan is there whole or not at all."""
    from partway.partitioner.describe import Wishes, described
    from partway.partitioner.slicing import make_plan

    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=".part-"))
    try:
        plan = make_plan(model, part)
        chain = load_chain(plan, engine_for(plan.engine), lambda stage: read_stage(part, stage))
        save_plan(described(plan, chain, Wishes()), part)
        part.rename(target)
    except OSError as error:
        if not (target / PLAN_FILE).is_file():  # else another run was quicker
            raise InputError(f"the plan of {model} cannot be kept in {target.parent} ({error.strerror})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
