"""``--example NAME=VALUE``: values of model inputs that random numbers cannot stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.errors import InputError

if TYPE_CHECKING:
    import numpy as np

ARRAY_SUFFIX = ".npy"


def read_examples(texts: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """``NAME=16000``, ``NAME=1,2,3`` or ``NAME=FILE.npy`` as arrays by input name. Raises InputError on anything else.

    A single number fills the input, whatever its shape.
    """
    found = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        if not name or not value:
            raise InputError(f"--example {text!r} is not NAME=VALUE, for example --example sr=16000")
        found[name] = _array(text, value)
    return found


def _array(text: str, value: str) -> np.ndarray[Any, Any]:
    import numpy as np

    if value.lower().endswith(ARRAY_SUFFIX):
        return _read(Path(value))
    try:
        numbers = [_number(part) for part in value.split(",")]
    except ValueError:
        raise InputError(f"--example {text!r}: {value} is no number and no {ARRAY_SUFFIX} file") from None
    return np.array(numbers[0] if len(numbers) == 1 else numbers)


def _number(text: str) -> int | float | bool:
    words = {"true": True, "false": False}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    try:
        return int(text)
    except ValueError:
        return float(text)


def _read(path: Path) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        with path.open("rb") as file:
            return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise InputError(f"--example {path} cannot be read ({error}); write it with numpy.save") from error
