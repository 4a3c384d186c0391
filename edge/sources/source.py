"""The interface of an input source: its name on the command line, and how it opens its frames."""

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

    An ``--input`` is of this kind if it starts with ``prefix`` or ends with one of ``suffixes`` (lower case). A prefix
    that does not end with a colon must equal the whole text.
    ``open`` takes the text and the plan, and returns the frames. It raises InputError at once if opening fails.
    ``endless``: the frames never stop. ``live``: the next frame may take long to arrive, and there is no second round.
    Endless sources are live.
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
