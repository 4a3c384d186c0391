"""What a task is: it decodes a model's outputs into a result, compares two results, and draws one.

A result is a value with ``to_json`` (its entries in ``edge-run --json``) and ``line`` (what a person reads).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the model's pixels lie in the original picture of ``width`` x ``height`` pixels.

    A point of the picture (x, y) is at ``(x * scale_x + left, y * scale_y + top)`` in the model's input of
    ``input_width`` x ``input_height`` pixels. The picture's size is the one after its EXIF orientation is applied.
    """

    width: int
    height: int
    input_width: int
    input_height: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    left: float = 0.0
    top: float = 0.0

    def to_picture(self, points: Array) -> Array:
        """Points [..., 2] (x, y) of the model's input as points of the picture, moved inside it."""
        import numpy as np

        offset, scale = np.array([self.left, self.top]), np.array([self.scale_x, self.scale_y])
        moved = (np.asarray(points, np.float64) - offset) / scale
        return np.asarray(np.clip(moved, 0, [self.width, self.height]))


class Result(Protocol):
    """A decoded answer."""

    def to_json(self) -> dict[str, Any]:
        """Entries for the frame in ``edge-run --json``, for example ``{"boxes": [...]}``."""

    @property
    def line(self) -> str:
        """What ``edge-run`` prints for the frame, for example ``2 face 0.98 0.91``; escaped, at most one line."""


class Task(Protocol):
    """Three pure functions. Safe to call from several threads."""

    @property
    def name(self) -> str:
        """As in ``--task`` and in the plan, for example ``detect``."""

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None) -> Result:
        """The result of one frame.

        ``outputs`` are the model's outputs by name, batch of one, integers of quantised tensors already as real
        numbers. Coordinates come back in pixels of the original picture; without ``geometry`` in pixels of the model's
        input. Raises InputError if an output is missing or has another shape than the plan's ``output`` entry says.
        """

    def agreement(self, result: Any, reference: Any) -> float:
        """How much of the reference the result keeps: 0 to 1, 1 if both are equal. Both come from ``decode``."""

    def draw(self, picture: Image, result: Any) -> Image:
        """A copy of the original picture (RGB) with the result on it."""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """A model output: its value name, numpy dtype and shape (None: open)."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Guess:
    """A task found by the outputs of a run: the plan's ``output`` entry, and what speaks for it in words.

    ``certain``: no other known reading has such outputs. ``others``: further readings by the same task, none certain.
    ``likely`` orders guesses that are not certain, the likeliest first.
    """

    output: Mapping[str, Any]
    reason: str
    certain: bool = False
    others: tuple[Guess, ...] = ()
    likely: float = 0.5


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """How to get a task. An entry of the group ``partway.tasks``, by the task's name, is one of these.

    ``make(output, outputs)`` builds the task from a plan's ``output`` entry (``kind`` is the task's name; ``labels``
    are class names) and the model's outputs. It raises InputError if they do not fit.
    ``recognise(outputs, input_size)`` tells whether a model with such outputs can do this task, and gives the
    ``output`` entry. ``outputs`` are the real values of one run, batch of one; ``input_size`` is (height, width) of a
    picture input, else None. For a task that the user names, its answer counts even if it is not certain.
    ``named(outputs)`` is asked after that for a task that the user names: outputs that only the user knows to be one.
    ``measure`` is what the task's agreement is, in a word or two for tables, for example ``F1``.
    """

    make: Callable[[Mapping[str, Any], Sequence[OutputSpec]], Task]
    recognise: Callable[[Mapping[str, Array], tuple[int, int] | None], Guess | None]
    help: str = ""
    measure: str = ""
    named: Callable[[Mapping[str, Array]], Guess | None] | None = None


def only_vector(outputs: Mapping[str, Array], least: int = 1) -> tuple[str, Array] | None:
    """The output that is one vector of ``least`` numbers or more, its name and values.

    The longest of several counts; None if there are two of that length.
    """
    found = [(name, array) for name, array in outputs.items() if least <= array.size == max(array.shape, default=1)]
    longest = max((array.size for _, array in found), default=0)
    of_it = [one for one in found if one[1].size == longest]
    return of_it[0] if len(of_it) == 1 else None
