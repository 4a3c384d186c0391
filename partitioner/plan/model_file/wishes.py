"""What users say of a model file that the file itself does not: sizes, how pictures become inputs, labels, the task.

One table of options for ``partway plan`` and its siblings, ``edge-run`` and ``Session``. It needs no numpy.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.partitioner.plan.pictures.fits import FITS, is_fit, split_crop
from partway.system.option_table import Option, checked, one_of, option, rows, text
from partway.units import parse_shape, whole_number

_option = partial(option, programs=("edge-run", "Session", "partway plan", "partway slice", "partway quantize"))
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


def numbers(value: Any, flag: str) -> tuple[float, ...]:
    """``0.485,0.456,0.406``, a number or a sequence of numbers. Raises InputError on anything else."""
    if isinstance(value, int | float):
        parts: Sequence[Any] = (value,)
    else:
        parts = value.split(",") if isinstance(value, str) else value
    try:
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        found = ()
    if not found or not all(map(math.isfinite, found)) or isinstance(value, bool):
        raise InputError(f"{flag} {value!r} is not a list of numbers, for example {flag} 0.5,0.5,0.5")
    return found


def _deviations(value: Any, flag: str) -> tuple[float, ...]:
    found = numbers(value, flag)
    if 0 in found:
        raise InputError(f"{flag} divides pixels, so that no number of it may be 0")
    return found


def _scale(value: Any, flag: str) -> float:
    """A number other than 0, or a fraction such as 1/255."""
    above, _, below = str(value).partition("/")
    try:
        scale = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        scale = 0.0
    if not math.isfinite(scale) or scale == 0 or isinstance(value, bool):
        raise InputError(f"{flag} {value!r} is no number to multiply pixels by, for example {flag} 1/255")
    return scale


def _fit(value: Any, flag: str) -> str:
    fit = text(value, flag)
    if not is_fit(split_crop(fit)[0]):
        raise InputError(f"{flag} cannot be {fit!r}; known: {FITS}, for example letterbox-114")
    return fit


def _labels(value: Any, flag: str) -> tuple[str, ...]:
    """The lines of a file, or a sequence of names."""
    if isinstance(value, str | Path):
        return read_labels(Path(value))
    return tuple(text(name, flag) for name in value)


def read_labels(path: Path | None) -> tuple[str, ...]:
    """One label a line. Raises InputError when the file cannot be read."""
    if path is None:
        return ()
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"labels file {path} cannot be read ({error}); give a text file, one label a line") from error


def _task(value: Any, flag: str) -> str:
    from partway.tasks.registry import TASKS

    return str(one_of(*TASKS.names())(text(value, flag), flag))


def shapes(value: Any, flag: str = "--shape") -> Shapes:
    """``NAME=1x3x224x224`` (or ``1,3,224,224``), several of them, or a mapping of names to sizes.

    Raises InputError on anything else.
    """
    if isinstance(value, Mapping):
        return tuple((str(name), _sizes(sizes, f"{name}={sizes}", flag)) for name, sizes in value.items())
    found = []
    for each in (value,) if isinstance(value, str) else value:
        if not isinstance(each, str):
            found.append((str(each[0]), _sizes(each[1], f"{each!r}", flag)))
            continue
        name, _, sizes = each.rpartition("=")
        found.append((name, _sizes((parse_shape(sizes) or ()) if name else (), each, flag)))
    return tuple(found)


def _sizes(parts: Sequence[Any], shown: str, flag: str) -> tuple[int, ...]:
    sizes = tuple(whole_number(str(part)) or 0 for part in parts)
    if not sizes or min(sizes) < 1:
        raise InputError(f"{flag} {shown!r} is not NAME=SIZES, for example {flag} image=1x3x224x224")
    return sizes


@dataclass(frozen=True, slots=True)
class Wishes:
    """The checked values of these options; None, or empty, where the tool has to find out."""

    mean: tuple[float, ...] | None = field(
        default=None,
        metadata=_option(
            "--mean", numbers, "subtracted from pixels after scaling, for example 0.485,0.456,0.406", "M[,M,M]"
        ),
    )
    std: tuple[float, ...] | None = field(
        default=None,
        metadata=_option("--std", _deviations, "divides them after that, for example 0.229,0.224,0.225", "S[,S,S]"),
    )
    scale: float | None = field(
        default=None,
        metadata=_option("--scale", _scale, "multiplies pixels 0..255 first (default: 1/255 for floats)", "X"),
    )
    fit: str | None = field(
        default=None,
        metadata=_option("--fit", _fit, f"how a picture gets the model's size: {FITS} (default: stretch)", "FIT"),
    )
    channels: str | None = field(
        default=None,
        metadata=_option(
            "--channels",
            one_of("RGB", "BGR", "GREY"),
            "the order of the input's channels (default: RGB, or GREY for one)",
            "RGB|BGR|GREY",
        ),
    )
    labels: tuple[str, ...] = field(
        default=(), metadata=_option("--labels", _labels, "class names, one a line", "FILE")
    )
    task: str | None = field(
        default=None,
        metadata=_option("--task", _task, "what the outputs mean (default: by their shapes)", "NAME"),
    )
    shape: Shapes = field(
        default=(),
        metadata=_option(
            "--shape", shapes, "sizes of an input with open sizes (repeatable)", "NAME=1x3x224x224", repeatable=True
        ),
    )

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """The shapes by input."""
        return dict(self.shape)

    @property
    def digest(self) -> str:
        """SHA-256 of all values; empty without any."""
        return "" if self == NO_WISHES else hashlib.sha256(repr(astuple(self)).encode()).hexdigest()

    @property
    def flags(self) -> list[str]:
        """The flags that are given."""
        return [row.flag for row in MODEL_OPTIONS if getattr(self, row.name) != row.default]


NO_WISHES = Wishes()
MODEL_OPTIONS: tuple[Option, ...] = rows(Wishes)
"""The options that describe a model file."""


def wishes_of(values: Mapping[str, Any]) -> Wishes:
    """Check values by option name; each is text, as on a command line, or a Python value. Raises InputError."""
    return Wishes(**checked(MODEL_OPTIONS, values))
