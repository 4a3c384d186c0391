"""The models that ``--model NAME`` knows: folders with a plan, its stage files and, for some, sample inputs.

It imports ``slicing`` and what lies below it. A device needs the names, folders and samples only; ``cuts``, ``export``,
``networks`` and ``training`` make the models, and a device never imports them.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from partway.errors import InputError
from partway.partitioner.plan.plan_file import PLAN_FILE
from partway.partitioner.zoo.catalogue import ZOO

_HERE = Path(__file__).parent


def bundled_folder() -> Path:
    """The folder of the models shipped in the package; one sub-folder a model."""
    return _HERE


def bundled_models() -> list[str]:
    """Names of the models shipped in the package."""
    return sorted(path.parent.name for path in _HERE.glob(f"*/{PLAN_FILE}"))


def known_models() -> list[str]:
    """Every name that ``--model`` knows, the shipped ones first."""
    return [*bundled_models(), *ZOO]


def model_folder(model: str) -> Path:
    """The folder with the plan of a shipped model, or of a plan given by path. InputError lists the known names."""
    try:
        return _folder(model, Path(model))
    except OSError as error:
        raise InputError(
            f"model {model[:80]!r} cannot be read ({error.strerror}); known models: {', '.join(known_models())}"
        ) from error


def _folder(model: str, path: Path) -> Path:
    if (_HERE / model / PLAN_FILE).is_file() and path.name == model:
        return _HERE / model
    if (path / PLAN_FILE).is_file():
        return path
    if path.name == PLAN_FILE and path.is_file():
        return path.parent
    if path.is_dir():
        raise InputError(f"there is no {PLAN_FILE} in {path}; make one with `partway plan MODEL --out {path}`")
    if path.is_file():
        raise InputError(f"{path} is not a plan; make one with `partway plan {path} --out DIR` and give --model DIR")
    if model in ZOO:
        return _made_by_name(model)
    raise unknown_model(model, known_models())


def _made_by_name(model: str) -> Path:
    """The plan that this user's cache has of a model by name, trained or random."""
    from partway.partitioner.zoo.cache import prepared_folder

    found = prepared_folder(model, False, None) or prepared_folder(model, True, None)
    if found is None:
        raise InputError(f"there is no plan of {model} yet; make one with `partway plan {model} --out DIR`")
    return found


def unknown_model(model: str, known: list[str]) -> InputError:
    """The sentence for a model nobody knows: lists the known ones, nearest first."""
    close = difflib.get_close_matches(model, known, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    return InputError(f"unknown model {model!r}; {hint}known models: {', '.join(known)} (or a plan's folder)")


def sample_folder(folder: Path) -> Path | None:
    """The sample inputs that come with a model, if any; a shipped variant (mnist-int8) has those of its model."""
    own = folder / "samples"
    shared = _HERE / folder.name.partition("-")[0] / "samples"
    return own if own.is_dir() else shared if folder.parent == _HERE and shared.is_dir() else None
