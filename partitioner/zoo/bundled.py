"""The models that ship in the package, one folder each, and the error for an unknown name."""

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


def unknown_model(model: str, known: list[str]) -> InputError:
    """The error for an unknown model; lists the known ones."""
    close = difflib.get_close_matches(model, known, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    return InputError(f"unknown model {model!r}; {hint}known models: {', '.join(known)} (or a plan's folder)")


def sample_folder(folder: Path) -> Path | None:
    """The sample inputs that come with a model, if any; a shipped variant (mnist-int8) has those of its model."""
    own = folder / "samples"
    shared = _HERE / folder.name.partition("-")[0] / "samples"
    return own if own.is_dir() else shared if folder.parent == _HERE and shared.is_dir() else None
