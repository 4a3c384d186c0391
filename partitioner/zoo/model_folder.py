"""The folder of a model's plan: shipped, made by name and kept in the cache, or given by path."""

from __future__ import annotations

import difflib
from pathlib import Path

from partway.errors import InputError
from partway.partitioner.plan.plan_file import PLAN_FILE
from partway.partitioner.zoo.bundled import bundled_folder, known_models, unknown_model
from partway.partitioner.zoo.cache import prepared_folder
from partway.partitioner.zoo.catalogue import ZOO


def model_folder(model: str) -> Path:
    """The folder with the plan of a shipped model, or of a plan given by path. InputError lists the known names."""
    try:
        return _folder(model, Path(model))
    except OSError as error:
        raise InputError(
            f"model {model[:80]!r} cannot be read ({error.strerror}); known models: {', '.join(known_models())}"
        ) from error


def _folder(model: str, path: Path) -> Path:
    if (bundled_folder() / model / PLAN_FILE).is_file() and path.name == model:
        return bundled_folder() / model
    if (path / PLAN_FILE).is_file():
        return path
    if path.name == PLAN_FILE and path.is_file():
        return path.parent
    if path.exists() and (advice := _advice(path)):
        raise InputError(f"{path} is {advice}")
    if path.is_dir():
        raise InputError(f"there is no {PLAN_FILE} in {path}; make one with `partway plan MODEL --out {path}`")
    if path.is_file():
        raise InputError(f"{path} is not a plan; make one with `partway plan {path} --out DIR` and give --model DIR")
    if model in ZOO:
        return _prepared_plan(model)
    if path.suffix or len(path.parts) > 1:
        close = difflib.get_close_matches(model, known_models(), 1)
        hint = f"; did you mean {close[0]}?" if close else "; check the path"
        raise InputError(f"there is no file or folder {model}{hint}")
    raise unknown_model(model, known_models())


def _advice(path: Path) -> str | None:
    """What else the file or folder is; imported for a mistake only."""
    from partway.partitioner.plan.model_file.wrong_model import what_it_is

    return what_it_is(path)


def _prepared_plan(model: str) -> Path:
    """The plan that this user's cache has of a model by name, trained or random."""
    found = prepared_folder(model, False, None) or prepared_folder(model, True, None)
    if found is None:
        raise InputError(f"there is no plan of {model} yet; make one with `partway plan {model} --out DIR`")
    return found
