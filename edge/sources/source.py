"""What an input source is: its name on the command line, and the frames behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partway.edge.sources.files import Item
    from partway.partitioner.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of input; an entry of the group ``partway.sources`` names such an object.

    An ``--input`` is of this kind if it starts with ``prefix`` or ends with one of ``suffixes`` (in small letters). A
    prefix without a colon at its end is the whole text.
    ``open`` takes its text and the plan, raises InputError at once if it cannot be opened, and gives its frames.
    ``endless`` frames never stop. ``live`` frames come as they are made: the next one may take long, and there is no
    second round. Endless sources are live.
    """

    open: Callable[[str, Plan], Iterator[Item]]
    prefix: str = ""
    suffixes: tuple[str, ...] = ()
    endless: bool = False
    live: bool = False

    def matches(self, text: str) -> bool:
        """Whether an ``--input`` is of this kind."""
        named = text == self.prefix or (self.prefix.endswith(":") and text.startswith(self.prefix))
        return (named and bool(self.prefix)) or text.lower().endswith(self.suffixes)
